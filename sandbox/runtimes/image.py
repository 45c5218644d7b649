"""The sandbox image: made from the runner root when the engine does not have it yet."""

import tarfile
import tempfile
from pathlib import Path
from typing import IO

import docker
import docker.errors

from sandbox.runtimes.base import RuntimeUnavailableError
from sandbox.runtimes.root import RunnerRoot

REPOSITORY = "sandgate-runner"
DOCKERFILE = Path(__file__).resolve().parents[2] / "Dockerfile"
DEFAULT_BASE = "scratch"


def image_tag(root: RunnerRoot, base_image: str = DEFAULT_BASE) -> str:
    """Name of the image of a root; another base makes another image."""
    if base_image == DEFAULT_BASE:
        return f"{REPOSITORY}:{root.digest}"
    base = "".join(c if c.isalnum() else "-" for c in base_image.lower()).strip("-")
    return f"{REPOSITORY}:{root.digest}-{base}"


def ensure_image(client: docker.DockerClient, root: RunnerRoot, base_image: str) -> str:
    """Build the image if it is missing; its tag. Older images of ours are removed.

    Blocks for some seconds when it builds. Client exceptions pass through.
    """
    tag = image_tag(root, base_image)
    try:
        client.images.get(tag)
    except docker.errors.ImageNotFound:
        _build(client, root, tag, base_image)
        _remove_others(client, keep=tag)
    return tag


def _build(client: docker.DockerClient, root: RunnerRoot, tag: str, base_image: str) -> None:
    if not DOCKERFILE.is_file():
        raise RuntimeUnavailableError(f"{DOCKERFILE} is missing, so no image can be built")
    with tempfile.TemporaryFile(dir=root.path.parent) as context:
        _pack(root.path, context)
        context.seek(0)
        steps = client.api.build(
            fileobj=context,
            custom_context=True,
            tag=tag,
            target="sandbox",
            buildargs={"BASE_IMAGE": base_image},
            network_mode="none",
            rm=True,
            forcerm=True,
            decode=True,
            labels={"sandgate.runner": root.digest},
        )
        for step in steps:
            if "error" in step:
                raise RuntimeUnavailableError(f"docker: cannot build {tag}: {step['error']}")


def _pack(root: Path, context: IO[bytes]) -> None:
    """The build context: Dockerfile and root, owned by root whoever made them."""

    def owned(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime = 0
        return entry

    with tarfile.open(fileobj=context, mode="w") as archive:
        archive.add(DOCKERFILE, "Dockerfile", filter=owned)
        archive.add(root, "root", filter=owned)


def _remove_others(client: docker.DockerClient, *, keep: str) -> None:
    """Images of roots that are no more; one that a container still uses stays."""
    for image in client.images.list(REPOSITORY):
        for tag in image.tags:
            if tag.startswith(f"{REPOSITORY}:") and tag != keep:
                _untag(client, tag)


def _untag(client: docker.DockerClient, tag: str) -> None:
    try:
        client.images.remove(tag)
    except docker.errors.APIError as error:
        if error.response is None or error.response.status_code not in (404, 409):
            raise
