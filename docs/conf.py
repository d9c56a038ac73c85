"""The configuration of Sphinx: `make docs` builds these pages."""

from importlib.metadata import version as version_of

project = "django-runbook"
author = "the django-runbook maintainers"
copyright = "the django-runbook maintainers"  # noqa: A001 - the name that Sphinx asks for
release = version = version_of("django-runbook")

extensions = ["myst_parser", "sphinx_copybutton", "sphinx_design"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 4
# Of a console, what is typed is copied, and not what is answered.
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True

html_theme = "furo"
html_title = "django-runbook"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["runbook.css"]
# Enough contrast in light and in dark.
pygments_style = "github-light"
pygments_dark_style = "github-dark"
