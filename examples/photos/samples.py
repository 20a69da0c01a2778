"""Make a folder of sample photographs: `python samples.py FOLDER [--count 200] [--corrupt 1]`.

They are crops and rotations of the photographs that the package scikit-image ships (a cat, a cup of coffee, an
astronaut, a rocket), so that nothing is downloaded. Corrupt ones are cut off in the middle, as by a broken copy.
The same numbers give the same pictures.
"""

from __future__ import annotations

import argparse
import random
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from PIL import Image

ORIGINALS = ("chelsea.png", "coffee.png", "astronaut.png", "rocket.jpg")


def originals() -> list[Image.Image]:
    """The photographs, read from where the package was installed; its code is not imported."""
    try:
        shipped = {path.name: path.locate() for path in files("scikit-image") or () if path.name in ORIGINALS}
    except PackageNotFoundError:
        raise SystemExit("the sample photographs come with scikit-image: pip install scikit-image") from None
    return [Image.open(str(shipped[name])).convert("RGB") for name in ORIGINALS]


def variation(photo: Image.Image, chance: random.Random) -> Image.Image:
    """Another picture from the same photograph: a crop, turned a little, sometimes mirrored."""
    width, height = photo.size
    part = chance.uniform(0.6, 0.9)
    left = chance.randrange(int(width * (1 - part)) + 1)
    top = chance.randrange(int(height * (1 - part)) + 1)
    crop = photo.crop((left, top, left + int(width * part), top + int(height * part)))
    if chance.random() < 0.5:
        crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return crop.rotate(chance.uniform(-8, 8), Image.Resampling.BICUBIC, expand=True)


def make(folder: Path, count: int = 200, corrupt: int = 1) -> list[Path]:
    """Write `count` JPEGs into `folder`; `corrupt` of them, chosen by chance, are cut off and returned."""
    chance = random.Random(count)
    photos = originals()
    folder.mkdir(parents=True, exist_ok=True)
    bad = set(chance.sample(range(count), corrupt))
    paths = [folder / f"photo-{number:04d}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        variation(photos[number % len(photos)], chance).save(path, quality=85)
        if number in bad:
            content = path.read_bytes()
            path.write_bytes(content[: len(content) // 2])
    return [paths[number] for number in sorted(bad)]


def main() -> None:
    parser = argparse.ArgumentParser(description="Make a folder of sample photographs.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--corrupt", type=int, default=1)
    arguments = parser.parse_args()
    bad = make(arguments.folder, arguments.count, arguments.corrupt)
    print(f"{arguments.count} photographs in {arguments.folder}, corrupt: {', '.join(path.name for path in bad) or 0}")


if __name__ == "__main__":
    main()
