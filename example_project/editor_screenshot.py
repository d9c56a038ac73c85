"""Makes the picture of an editor in the documentation: Neovim with yaml-language-server, in a terminal of tmux."""

from __future__ import annotations

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

PICTURE: Final = Path(__file__).parent.parent / "docs" / "images" / "editor.svg"
WIDTH, HEIGHT = 104, 21
RUNBOOK: Final = """\
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
      """
SETUP: Final = """
vim.opt.swapfile, vim.opt.number, vim.opt.termguicolors, vim.opt.laststatus = false, true, true, 0
vim.opt.completeopt, vim.opt.pumheight, vim.opt.showmode = "menuone,noselect,popup", 8, false
vim.opt.ruler, vim.opt.fillchars = false, "eob: "
vim.opt.shortmess:append("cCI")
vim.api.nvim_set_hl(0, "Normal", { fg = "#dddddd" })
vim.lsp.config("yamlls", {
  cmd = { "yaml-language-server", "--stdio" }, filetypes = { "yaml" }, root_markers = { "runbook.schema.json" },
  settings = { yaml = { schemaStore = { enable = false, url = "" } }, redhat = { telemetry = { enabled = false } } },
})
vim.lsp.enable("yamlls")
vim.diagnostic.config({ virtual_text = true, signs = false, update_in_insert = true })
vim.api.nvim_create_autocmd("LspAttach", { callback = function(event)
  vim.lsp.completion.enable(true, event.data.client_id, event.buf, { autotrigger = false })
end })
"""


def main() -> None:
    missing = [name for name in ("nvim", "tmux", "yaml-language-server") if shutil.which(name) is None]
    if missing:
        sys.exit(f"not installed: {', '.join(missing)}")
    with tempfile.TemporaryDirectory() as folder:
        write_project(Path(folder))
        PICTURE.write_text(as_picture(take_screen(Path(folder))))


def write_project(folder: Path) -> None:
    """Write a runbook, the schema of the example project, and the set-up of the editor."""
    (folder / "runbooks").mkdir()
    (folder / "runbooks" / "nightly.yml").write_text(RUNBOOK)
    (folder / "init.lua").write_text(SETUP)
    manage = Path(__file__).parent / "manage.py"
    schema = folder / "runbook.schema.json"
    subprocess.run([sys.executable, str(manage), "runbook_schema", "--output", str(schema)], check=True)


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


def as_picture(screen: str) -> str:
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    console.print(Text.from_ansi(screen.rstrip()))
    picture = console.export_svg(title="runbooks/nightly.yml")
    # A page does not load fonts for a picture.
    return re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)


if __name__ == "__main__":
    main()
