"""What a chart's character is made of: braille dots, quarters of a block, or one ASCII mark."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cell:
    """A character as a small picture."""

    dots: tuple[tuple[int, ...], ...]
    """The bit of each dot, by row and column."""
    marks: str
    """The character for every set of bits."""
    stipple: int = 0
    """The bit that stands for a shaded character where there is only one dot."""
    spans: tuple[tuple[tuple[int, ...], ...], ...] = field(init=False)
    """The bits of the dots in one column, from a top row to a bottom row."""

    def __post_init__(self) -> None:
        rows = range(self.rows)
        spans = tuple(
            tuple(tuple(sum(self.dots[y][x] for y in range(top, bottom + 1)) for bottom in rows) for top in rows)
            for x in range(self.columns)
        )
        object.__setattr__(self, "spans", spans)

    @property
    def columns(self) -> int:
        """Dots across."""
        return len(self.dots[0])

    @property
    def rows(self) -> int:
        """Dots down."""
        return len(self.dots)


BRAILLE = Cell(
    ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80)),
    " " + "".join(chr(0x2800 + bits) for bits in range(1, 256)),
)
BLOCK = Cell(((1, 2), (4, 8)), " ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█")
ASCII = Cell(((1,),), " *.*", stipple=2)
