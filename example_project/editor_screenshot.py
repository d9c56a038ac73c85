"""Makes the pictures of an editor in the documentation: Neovim with a language server, in a terminal of tmux.

``editor_screenshot.py editor-server`` makes one of them, and without a name it makes all.
"""

from __future__ import annotations

import dataclasses
import io
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

HERE: Final = Path(__file__).parent
PICTURES: Final = HERE.parent / "docs" / "images"
WIDTH, HEIGHT = 104, 21
SETUP: Final = """
vim.opt.swapfile, vim.opt.number, vim.opt.termguicolors, vim.opt.laststatus = false, true, true, 0
vim.opt.completeopt, vim.opt.pumheight, vim.opt.showmode = "menuone,noselect,popup", 8, false
vim.opt.ruler, vim.opt.fillchars = false, "eob: "
vim.opt.shortmess:append("cCI")
vim.api.nvim_set_hl(0, "Normal", { fg = "#dddddd" })
vim.lsp.config("server", { filetypes = { "yaml" }, root_markers = { "init.lua" }, %s })
vim.lsp.enable("server")
vim.diagnostic.config({ virtual_text = true, signs = false, update_in_insert = true })
vim.api.nvim_create_autocmd("LspAttach", { callback = function(event)
  vim.lsp.completion.enable(true, event.data.client_id, event.buf, { autotrigger = false })
end })
"""


@dataclasses.dataclass(frozen=True)
class Picture:
    """Describes a picture: the runbook, whose last line is completed, and the language server."""

    runbook: str
    programs: tuple[str, ...]
    server: str


ALL: Final = {
    "editor": Picture(
        runbook="""\
# yaml-language-server: $schema=../runbook.schema.json
name: Nightly maintenance
params:
  day: {type: date, default: "${{ today - days(1) }}"}

steps:
  - clearsessions
  - command: import_flights data/flights.csv.gz
    retry: {attempts: 3, delay: 10s, errors: [OperationalError]}
    options:
      format: xml
      """,
        programs=("nvim", "tmux", "yaml-language-server"),
        server="""
  cmd = { "yaml-language-server", "--stdio" },
  settings = { yaml = { schemaStore = { enable = false, url = "" } }, redhat = { telemetry = { enabled = false } } },
""",
    ),
    "editor-server": Picture(
        runbook="""\
name: Nightly maintenance
params:
  day: {type: date, default: "${{ today - days(1) }}"}

steps:
  - clearsessions
  - command: send_reports --type daily --day ${{ params.dya }}
  - id: late
    command: count_delays --format json
    capture: json
  - import_flights data/flights.csv.gz --""",
        programs=("nvim", "tmux"),
        server=f'cmd = {{ "{sys.executable}", "{HERE / "manage.py"}", "runbook_lsp" }}',
    ),
}


def main() -> None:
    for name in sys.argv[1:] or ALL:
        picture = ALL[name]
        missing = [program for program in picture.programs if shutil.which(program) is None]
        if missing:
            sys.exit(f"not installed: {', '.join(missing)}")
        with tempfile.TemporaryDirectory() as folder:
            write_project(Path(folder), picture)
            (PICTURES / f"{name}.svg").write_text(as_svg(take_screen(Path(folder))))


def write_project(folder: Path, picture: Picture) -> None:
    """Write a runbook, the schema of the example project, and the set-up of the editor."""
    (folder / "runbooks").mkdir()
    (folder / "runbooks" / "nightly.yml").write_text(picture.runbook)
    (folder / "init.lua").write_text(SETUP % picture.server)
    schema = folder / "runbook.schema.json"
    subprocess.run([sys.executable, str(HERE / "manage.py"), "runbook_schema", "--output", str(schema)], check=True)


def take_screen(folder: Path) -> str:
    """Open the runbook, ask for completion at its end, and return the screen with its colors."""
    tmux = ["tmux", "-L", "runbook-screenshot", "-f", "/dev/null"]
    size = ["-x", str(WIDTH), "-y", str(HEIGHT)]
    editor = "TERM=tmux-256color COLORTERM=truecolor nvim -u init.lua runbooks/nightly.yml"
    subprocess.run([*tmux, "new-session", "-d", *size, "-c", str(folder), editor], check=True)
    try:
        # Each waits for the language server.
        for keys in (["G", "A"], ["C-x", "C-o"], ["C-n"]):
            time.sleep(5)
            subprocess.run([*tmux, "send-keys", *keys], check=True)
        time.sleep(5)
        return subprocess.run([*tmux, "capture-pane", "-e", "-p"], check=True, capture_output=True, text=True).stdout
    finally:
        subprocess.run([*tmux, "kill-server"], check=True)


def as_svg(screen: str) -> str:
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    console.print(Text.from_ansi(screen.rstrip()))
    picture = console.export_svg(title="runbooks/nightly.yml")
    # A page does not load fonts for a picture.
    return re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)


if __name__ == "__main__":
    main()
