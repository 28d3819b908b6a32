"""One image file, opened safely and with the pixels that it means: for training and predicting.

A file may come from anybody. Only these formats are decoded (Pillow alone would hand an EPS file
to Ghostscript, whatever its name), only regular files are opened (a pipe would hang), an image
may have at most `MOST_PIXELS`, and large ones are decoded one at a time.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import stat
import struct
import threading
import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import PIL.Image
from PIL.ExifTags import Base
from PIL.Image import Image, Transpose

FORMATS = ("JPEG", "PNG", "PPM", "BMP", "TIFF", "WEBP")
ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
# Images too, which are passed over: a phone's, an editor's, a camera's raw ones.
NOT_READ = (
    *(".heic", ".heif", ".hif", ".avif", ".jxl", ".jp2", ".gif", ".psd", ".jfif", ".jpe", ".mpo"),
    *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2", ".pef", ".srw"),
)
CONVERT = "convert them to JPEG or PNG first"
MOST_PIXELS = 178_956_970  # where Pillow sees a decompression bomb: half a gigabyte as RGB
LARGE_PIXELS = 2**24
TOO_LARGE = f"it has more than {MOST_PIXELS:,} pixels"
EIGHT_BITS = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")
TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
LYING = (5, 6, 7, 8)  # orientations whose width and height change places
_one_large = threading.Lock()


class Part(NamedTuple):
    """Image that is a part of a file: of a tar shard, of an Arrow table.

    Attributes:
        path: of the file.
        first: byte where it begins.
        size: of it, in bytes.
    """

    path: str
    first: int
    size: int

    def __str__(self) -> str:
        return f"{self.path} from byte {self.first}"


Source = str | os.PathLike[str] | Part
"""Where an image is: a file of its own, or a part of one."""


class UnreadableImageError(OSError):
    """A file that is no image, is damaged, or whose pixels have no plain meaning in 8 bits."""


@contextlib.contextmanager
def opened(source: Source) -> Iterator[Image]:
    """An image file, its header read.

    Raises:
        FileNotFoundError: there is no such file.
        UnreadableImageError: it is no regular file, of no known format, damaged, or too large.
    """
    path = source.path if isinstance(source, Part) else source
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116
        raise UnreadableImageError("it is no regular file")
    # Of sizes, for which our own bound stands below, and of notes that are not read. Catching them
    # here alone (catch_warnings) is not safe in threads.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        file = io.BytesIO(part_bytes(source)) if isinstance(source, Part) else source
        with PIL.Image.open(file, formats=FORMATS) as image:
            pixels = image.size[0] * image.size[1]
            if pixels > MOST_PIXELS:
                raise UnreadableImageError(TOO_LARGE)
            with _one_large if pixels > LARGE_PIXELS else contextlib.nullcontext():
                yield image
    except UnreadableImageError:
        raise
    except PIL.Image.DecompressionBombError:
        raise UnreadableImageError(TOO_LARGE) from None
    except PIL.UnidentifiedImageError:
        raise UnreadableImageError(f"it is none of {', '.join(FORMATS)}, or damaged") from None
    # A damaged PNG raises SyntaxError, other damaged files whatever their reader trips over.
    except (OSError, ValueError, SyntaxError, TypeError, IndexError, struct.error) as error:
        raise UnreadableImageError(" ".join(str(error).split()) or type(error).__name__) from error


def part_bytes(part: Part) -> bytes:
    """The bytes of a part of a file.

    Raises:
        UnreadableImageError: the file ends before it does.
    """
    with open(part.path, "rb") as file:  # noqa: PTH123
        # Before it is read: room for what a foreign file claims is made first.
        if (
            min(part.first, part.size) < 0
            or part.first + part.size > os.fstat(file.fileno()).st_size
        ):
            raise UnreadableImageError("the file ends before the image does")
        file.seek(part.first)
        found = file.read(part.size)
    if len(found) < part.size:
        raise UnreadableImageError("the file ends before the image does")
    return found


def digest(source: Source, turn: int = 1) -> bytes:
    """SHA-256 of an image's bytes as they are stored, and of its orientation where it is turned.

    Versions that did not turn images had other pixels of these, and so must have other digests.
    """
    if isinstance(source, Part):
        found = hashlib.sha256(part_bytes(source))
    else:
        with open(source, "rb") as file:  # noqa: PTH123
            found = hashlib.file_digest(file, "sha256")
    if turn != 1:
        found.update(b"turned %d" % turn)
    return found.digest()


def orientation(image: Image) -> int:
    """How an image's pixels must still be turned, as EXIF counts it; 1 where they need not be.

    Of a PNG that stands behind the pixels, and a TIFF is turned by Pillow as it is loaded.
    """
    if image.format in ("PNG", "TIFF"):
        image.load()
    try:
        found = image.getexif().get(Base.Orientation, 1)
    except Exception:  # damaged notes raise whatever their reader trips over, and the pixels stand
        return 1
    return found if found in TURNS else 1


def upright(image: Image, channels: int) -> Image:
    """An image's pixels in 8 bits, as the file means them, turned as EXIF says.

    ImageOps.exif_transpose writes the other notes anew, which fails where they are damaged.

    Args:
        channels: 3 for RGB, 1 for grey.

    Raises:
        UnreadableImageError: as `colours`.
    """
    turn = TURNS.get(orientation(image))
    plain = colours(image, channels)
    return plain if turn is None else plain.transpose(turn)


def colours(image: Image, channels: int) -> Image:
    """An image's pixels in 8 bits, as the file means them.

    16 bits of grey keep their upper half's meaning, 65535 becoming 255 (Pillow's own conversion
    clips everything above 255 to white). Transparency is dropped, as torchvision drops it.

    Args:
        channels: 3 for RGB, 1 for grey.

    Raises:
        UnreadableImageError: integers or floats without a known range, or another colour space.
    """
    wanted = "RGB" if channels == 3 else "L"
    if image.mode == wanted:
        return image
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        grey = np.asarray(image).astype(np.int64).clip(0, 65535)
        eight = ((grey * 255 + 32767) // 65535).astype(np.uint8)
        sixteen: Image = PIL.Image.fromarray(eight).convert(wanted)
        return sixteen
    if image.mode not in EIGHT_BITS:
        raise UnreadableImageError(
            f"its pixels are of Pillow's mode {image.mode}, whose range no file states: "
            f"save it with 8 or 16 bits a channel"
        )
    return image.convert(wanted)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is a system's own: thumbnails, notebooks' copies, macOS's notes."""
    return name.startswith(".") or name in ("__MACOSX", "@eaDir")


def image_names(folder: str, inside: str = "", endings: tuple[str, ...] = ENDINGS) -> Iterator[str]:
    """The image files at any depth in a folder, as paths that begin with `inside`; none hidden.

    A list of a million files by pathlib takes half a minute and by scandir a few seconds.
    """
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_hidden(entry.name):
                continue
            if entry.name.lower().endswith(endings):
                yield inside + entry.name
            elif entry.is_dir(follow_symlinks=False):
                yield from image_names(entry.path, f"{inside}{entry.name}/", endings)
