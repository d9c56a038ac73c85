"""Offers whole steps to fill in, in the form that yaml-language-server and VS Code read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

STEP_SNIPPETS: Final[tuple[Mapping[str, Any], ...]] = (
    {
        "label": "command with options",
        "description": "A command step",
        "body": {"command": "${1:name}", "options": {"${2:option}": "${3:value}"}},
    },
    {
        "label": "group of steps",
        "description": "Steps with a name, a condition and handlers of their own",
        "body": {"name": "${1:Group}", "steps": ["${2:command}"]},
    },
    {
        "label": "parallel steps",
        "description": "Steps that run at the same time",
        "body": {"parallel": ["${1:command}", "${2:command}"]},
    },
    {
        "label": "loop",
        "description": "A step that runs once for each item",
        "body": {"command": "${1:name} \\${{ item \\}}", "for_each": ["${2:item}"]},
    },
    {
        "label": "another runbook",
        "description": "A runbook that is read and checked together with this file",
        "body": {"runbook": "${1:weekly.yml}"},
    },
)
