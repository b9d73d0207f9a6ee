"""Where a task's file lies: a path, a folder, the package, or the hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from warmgap.errors import UserError
from warmgap.schema.config import TaskConfig

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Place:
    """A file and, if it is from the hub, the repository and the commit."""

    path: Path
    source: str = ""
    commit: str = ""
    packaged: bool = False


def local_file(config: TaskConfig, patterns: Sequence[str]) -> Path | None:
    """The file that `task.path` or `task.folder` names; None where neither is set.

    In a folder the first pattern that a file matches counts.

    Raises:
        UserError: the folder holds no such file, or more than one.
    """
    given = config.path or config.folder
    if not given:
        return None
    at = Path(given).expanduser()
    if not at.is_dir():
        if config.folder and not config.path:
            raise UserError(
                f"missing folder: task.folder={config.folder} is no folder. For a file use task.path."
            )
        return at
    for pattern in patterns:
        found = sorted(p for p in at.glob(pattern) if p.is_file())
        if len(found) > 1:
            names = ", ".join(str(p.relative_to(at)) for p in found)
            raise UserError(f"task {config.name}: {at} holds {names}. Name one of them with task.path.")
        if found:
            return found[0]
    raise UserError(
        f"task {config.name}: no file for it in {at}. Looked for {', '.join(patterns)}. "
        "Name the file with task.path."
    )


def hub_file(config: TaskConfig) -> Place:
    """The file that `task.source` names, downloaded if it is not in the hub's cache.

    Raises:
        UserError: the source is malformed, or the file cannot be had.
    """
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    scheme, _, rest = config.source.partition(":")
    parts = rest.split("/", 2)
    if scheme != "hub" or len(parts) < 3 or not all(parts):
        raise UserError(
            f"task {config.name}: task.source is '{config.source}'; it must be hub:ORG/NAME/FILE. "
            "For a file on this machine set task.path."
        )
    repository, name = "/".join(parts[:2]), parts[2]
    try:
        path = Path(
            huggingface_hub.hf_hub_download(repository, name, repo_type="dataset", revision=config.revision)
        )
    except (HfHubHTTPError, HFValidationError, OSError) as e:
        raise UserError(
            f"task {config.name}: cannot get {name} of '{repository}' at revision '{config.revision}' from "
            f"the Hugging Face Hub: {type(e).__name__}. Without a network, run elsewhere: hf download "
            f"{repository} {name} --repo-type dataset --revision {config.revision}, and set task.path to it."
        ) from e
    # The hub's cache names a snapshot's folder by its commit.
    commit = next((p for p in reversed(path.parts) if _COMMIT.fullmatch(p)), "")
    return Place(path, f"hub:{repository}/{name}", commit)
