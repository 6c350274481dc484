"""The production lines: materials, lighting and camera."""

from dataclasses import dataclass

CLASSES = ("good", "scratch", "dent", "stain", "crack", "pit", "seam")
MATERIALS = ("steel", "paint", "wood", "fabric")

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """A line. Ranges are (low, high), from which each picture draws its own.

    mix: how many pictures of each material a batch has, of every class; 8 in all, so that the
    material says nothing of the class. Angles in degrees, blur in pixels.
    """

    title: str
    mix: tuple[int, int, int, int]
    severity: Range  # how deep, how dark: 1 is easy to see
    azimuth: Range  # direction of the light: 0 is right, 90 is top
    elevation: Range  # its height
    lamp: tuple[float, float, float]  # its colour
    ambient: Range  # light from all sides, besides the lamp's
    zoom: Range  # half the picture's width in the world: larger shows smaller flaws
    turn: Range  # rotation of the camera
    tilt: float  # perspective: how much farther one edge may be
    exposure: Range
    cast: tuple[float, float, float]  # colour cast left by the white balance
    contrast: float
    vignette: Range
    blur: Range
    noise: Range  # deviation of a mid grey, in 1/255
    clutter: float  # how often there are shadows, dust and fibres


LINES = {
    "line-a": Line(
        title="bright hall, cool lamps, a sharp camera",
        mix=(3, 2, 2, 1),
        severity=(1.05, 1.6),
        azimuth=(85, 165),
        elevation=(28, 58),
        lamp=(0.97, 1.0, 1.06),
        ambient=(0.30, 0.50),
        zoom=(0.52, 0.66),
        turn=(-8, 8),
        tilt=0.08,
        exposure=(0.85, 1.2),
        cast=(0.98, 1.0, 1.03),
        contrast=1.3,
        vignette=(0.05, 0.2),
        blur=(0.45, 0.7),
        noise=(1.5, 3.5),
        clutter=0.18,
    ),
    "line-b": Line(
        title="dim hall, warm grazing lamps, an old camera farther away",
        mix=(1, 2, 2, 3),
        severity=(0.9, 1.5),
        azimuth=(-70, 40),
        elevation=(24, 46),
        lamp=(1.12, 1.0, 0.80),
        ambient=(0.18, 0.36),
        zoom=(0.70, 0.92),
        turn=(-25, 25),
        tilt=0.22,
        exposure=(0.75, 1.15),
        cast=(1.08, 1.0, 0.84),
        contrast=1.45,
        vignette=(0.25, 0.5),
        blur=(0.6, 0.9),
        noise=(2.5, 6.0),
        clutter=0.4,
    ),
}
