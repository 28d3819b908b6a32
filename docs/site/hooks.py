"""What MkDocs is taught: links that leave docs/ lead to a copy of the file in the site.

The pages are read on a code host too, where `../cluster.yaml` is a link like any other. In the
site, which must open from a disk alone, the file stands under `repository/`.
"""

import re
from pathlib import Path
from posixpath import normpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

LINK_OUT = re.compile(r"(?<=\]\()\.\./([^)#\s]+)")
SHOWN_AS_TEXT = {".md", ".py", ".toml", ".yaml"}


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Bring the files that a page links to outside docs/ into the site."""
    root = Path(config.config_file_path).parent

    def inside(link: re.Match[str]) -> str:
        path = normpath(link[1])
        source = root / path
        if not source.is_file():
            raise PluginError(f"{page.file.src_uri}: ../{path} must be a file of the repository")
        uri = f"repository/{path}" + ".txt" * (source.suffix in SHOWN_AS_TEXT)
        if files.get_file_from_path(uri) is None:
            files.append(File.generated(config, uri, abs_src_path=str(source)))
        return uri

    return LINK_OUT.sub(inside, markdown)
