from .records import Family

FAMILIES: tuple[Family, ...] = ()
