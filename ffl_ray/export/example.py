"""How an exported model is used, as code that runs as it stands: for its card."""

from __future__ import annotations

from collections.abc import Collection

from ffl_ray.exported.about import LABELS, ONNX, PT2, SAFETENSORS, About, code_named_in

MODES = {1: "L", 3: "RGB"}
FOLDER, PHOTO = "FOLDER", "PHOTO"


def examples(about: About, files: Collection[str]) -> list[str]:
    """A Python program for each of these model files; the first one names a photo's class."""
    shape = ", ".join(map(str, about.image_shape))
    trusted = ", trusted=True" if code_named_in(about.settings) else ""
    made = {
        ONNX: _classifier(about) if about.image_shape[0] in MODES else _run(shape),
        PT2: (
            "import torch\n\n"
            "# torch runs code that such a file may hold: load it from those you trust alone.\n"
            f'model = torch.export.load("{FOLDER}/{PT2}").module()\n'
            f"logits = model(torch.rand(1, {shape}))  # pixels / 255"
        ),
        SAFETENSORS: (
            "import torch\n\n"
            "from ffl_ray.export import load_member\n\n"
            f'model = load_member("{FOLDER}"{trusted})  # config.json and {SAFETENSORS}\n'
            f"logits = model(torch.rand(1, {shape}))  # pixels / 255"
        ),
    }
    return [code for name, code in made.items() if name in files]


def _classifier(about: About) -> str:
    """From a photo to a name by onnxruntime, with the pixels that `ffl-ray predict` gives it."""
    channels, height, width = about.image_shape
    return f"""import numpy as np
import onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession("{FOLDER}/{ONNX}")
with open("{FOLDER}/{LABELS}", encoding="utf-8") as file:
    labels = file.read().split("\\n")
photo = ImageOps.exif_transpose(Image.open("{PHOTO}")).convert("{MODES[channels]}")
side = min(photo.size)  # its middle square
left, top = (photo.width - side) // 2, (photo.height - side) // 2
photo = photo.resize(({width}, {height}), box=(left, top, left + side, top + side))
pixels = np.asarray(photo, np.float32).reshape({height}, {width}, {channels}) / 255
logits = session.run(None, {{"images": pixels.transpose(2, 0, 1)[None]}})[0]
print(labels[logits[0].argmax()])"""


def _run(shape: str) -> str:
    return (
        "import numpy as np\n"
        "import onnxruntime\n\n"
        f'session = onnxruntime.InferenceSession("{FOLDER}/{ONNX}")\n'
        f"images = np.random.rand(1, {shape}).astype(np.float32)  # pixels / 255\n"
        'logits = session.run(None, {"images": images})[0]'
    )
