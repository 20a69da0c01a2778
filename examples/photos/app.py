"""The first five minutes (`add`), and a real job: a folder of photographs becomes PNGs, thumbnails and a PDF album.

photos(folder) ──▶ photo, photo, photo … ──▶ album          README.md tells why it is built this way
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image, ImageOps
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from penstock import Penstock, Task, TaskIdTaken

app = Penstock("photos")

JOBS = Path(os.environ.get("PHOTOS_JOBS") or Path(__file__).parent / "jobs")  # a folder a job, named by its task id
LOOK_EVERY = 2.0  # seconds between two looks of the job itself
LOOKS = 100_000  # after two days of looking the job gives up
PAGE = (1000, 1000)  # pixels at most, and so for the thumbnails
THUMBNAIL = (160, 160)
CHUNK = 20  # pages of the album that are in memory at once


@app.task
def add(x: int, y: int) -> int:
    """The sum of two numbers."""
    return x + y


@app.task(bind=True)
def photos(self: Task, folder: str) -> dict[str, Any]:
    """Turn every JPEG of a folder into a PNG and a thumbnail, and all of them into one album."""
    job = self.request.id
    names = enrol(job, Path(folder))
    if self.request.retries == 0:
        for number, name in enumerate(names):
            submit_once(photo, [job, str(Path(folder, name).absolute())], photo_id(job, number))
    ended = look(job, killed(job))
    self.progress(ended / len(names), f"{ended} of {len(names)} photographs")
    if ended < len(names):
        raise self.retry(countdown=LOOK_EVERY, max_retries=LOOKS)
    return {"photos": len(names), "album": album_id(job)}


@app.task(bind=True)
def photo(self: Task, job: str, path: str) -> dict[str, str]:
    """Turn one JPEG into a PNG and a thumbnail."""
    name = Path(path).name
    try:
        with Image.open(path) as file:
            self.progress(0.1, "reading")
            picture = ImageOps.exif_transpose(file).convert("RGB")
        self.progress(0.3, "writing the PNG")
        save(job, f"png/{name}.png", picture)
        self.progress(0.8, "writing the thumbnail")
        picture.thumbnail(THUMBNAIL)
        save(job, f"thumbnail/{name}.png", picture)
    # Whatever is wrong with one file: it is written down, this task alone fails, and the album does not wait for it.
    except Exception as error:
        end(job, name, error=f"{type(error).__name__}: {error}")
        raise ValueError(f"{name} cannot be converted: {error}") from error
    end(job, name)
    return {"png": url(job, "png", name), "thumbnail": url(job, "thumbnail", name)}


@app.task(bind=True)
def album(self: Task, job: str) -> dict[str, Any]:
    """Bind all PNGs of a job into one PDF, a page a photograph, and list what could not be converted."""
    errors = dict(read(job, name) for name in enrolled(job))
    names = [name for name, error in errors.items() if error is None]
    if not names:
        raise ValueError(f"none of the {len(errors)} photographs could be converted")
    file = scratch(job)
    for start in range(0, len(names), CHUNK):
        self.progress(start / len(names), f"page {start + 1} of {len(names)}")
        pages = [page(JOBS / job / "png" / f"{name}.png") for name in names[start : start + CHUNK]]
        pages[0].save(file, "PDF", save_all=True, append_images=pages[1:], append=start > 0)
    file.replace(JOBS / job / "album.pdf")
    bound = {
        "album": f"/photos/{job}/album.pdf",
        "pages": len(names),
        "errors": [{"photo": name, "error": error} for name, error in errors.items() if error is not None],
    }
    write(job, "album.json", bound)
    return bound


# ---------------------------------------------------------------------------------------- the set: who is in, who ended


def enrol(job: str, folder: Path) -> list[str]:
    """The names of the job's photographs; written down at the first call, so that the set never changes later."""
    if not (JOBS / job / "photos.json").exists():
        names = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in {".jpg", ".jpeg"})
        if not names:
            raise ValueError(f"there are no JPEG files in {folder.absolute()}")
        for kind in ("png", "thumbnail", "endings", "scratch"):
            (JOBS / job / kind).mkdir(parents=True, exist_ok=True)
        write(job, "photos.json", names)
    return enrolled(job)


def enrolled(job: str) -> list[str]:
    names: list[str] = json.loads((JOBS / job / "photos.json").read_text())
    return names


def end(job: str, name: str, error: str | None = None) -> None:
    """Write down how a photograph ended, then look at the set: the last one to write sees all the others."""
    write(job, f"endings/{name}.json", error)
    look(job)


def look(job: str, also: frozenset[str] = frozenset()) -> int:
    """Count the endings, those in `also` included; whoever finds the set complete submits the album."""
    ended = also | {path.name.removesuffix(".json") for path in (JOBS / job / "endings").iterdir()}
    if len(ended) == len(enrolled(job)):
        submit_once(album, [job], album_id(job))
    return len(ended)


def killed(job: str) -> frozenset[str]:
    """Photographs whose task has ended without writing it down: cancelled, or its worker was lost once too often."""
    return frozenset(
        name
        for number, name in enumerate(enrolled(job))
        if not (JOBS / job / "endings" / f"{name}.json").exists() and app.AsyncResult(photo_id(job, number)).ready()
    )


def read(job: str, name: str) -> tuple[str, str | None]:
    """The name and what went wrong with it, None if nothing did."""
    ending = JOBS / job / "endings" / f"{name}.json"
    if ending.exists():
        return name, json.loads(ending.read_text())
    lost = app.AsyncResult(photo_id(job, enrolled(job).index(name))).result
    return name, f"{type(lost).__name__}: {lost}"


def submit_once(task: Task, args: list[str], task_id: str) -> None:
    """Submit a task under a fixed id, where a second submit is a no-op."""
    with suppress(TaskIdTaken):
        task.apply_async(args, task_id=task_id)


def photo_id(job: str, number: int) -> str:
    return f"{job}-{number:04d}"


def album_id(job: str) -> str:
    return f"{job}-album"


# ---------------------------------------------------------------------------------- files: whole, or not there at all


def scratch(job: str) -> Path:
    """A new file beside the results, of a name that nobody else has: a killed task's second run may meet its first."""
    handle, path = tempfile.mkstemp(dir=JOBS / job / "scratch")
    os.close(handle)
    return Path(path)


def save(job: str, path: str, picture: Image.Image) -> None:
    file = scratch(job)
    picture.save(file, "PNG")
    file.replace(JOBS / job / path)


def write(job: str, path: str, value: object) -> None:
    file = scratch(job)
    file.write_text(json.dumps(value))
    file.replace(JOBS / job / path)


def page(path: Path) -> Image.Image:
    picture = Image.open(path)
    picture.thumbnail(PAGE)
    return picture


# ----------------------------------------------------------------------------------------- the example's own routes


def url(job: str, kind: str, name: str) -> str:
    return f"/photos/{job}/{kind}/{quote(name)}.png"


def status(request: Request) -> Response:
    """GET /photos/{job}: how far it is, what could not be converted, and where the pictures and the album are."""
    job = request.path_params["job"]
    if not (JOBS / job / "photos.json").is_file():
        return JSONResponse({"error": f"there is no job {job}"}, 404)
    names = enrolled(job)
    endings = dict(read(job, name) for name in names if (JOBS / job / "endings" / f"{name}.json").exists())
    bound = JOBS / job / "album.json"
    return JSONResponse(
        {
            "photos": len(names),
            "ended": len(endings),
            "pictures": [
                {"photo": name, "png": url(job, "png", name), "thumbnail": url(job, "thumbnail", name)}
                for name, error in endings.items()
                if error is None
            ],
            "errors": [{"photo": name, "error": error} for name, error in endings.items() if error is not None],
            "album": None,
        }
        | (json.loads(bound.read_text()) if bound.exists() else {})
    )


app.mount(
    "/photos",
    Starlette(routes=[Route("/{job}", status), Mount("/", StaticFiles(directory=JOBS, check_dir=False))]),
)
