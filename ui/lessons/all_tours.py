"""The tours in the order in which they build on each other."""

from ui.lessons import believe, heads, matter, sinks, words
from ui.lessons.tour import Tour

TOURS: dict[str, Tour] = {tour.name: tour for tour in (heads.TOUR, matter.TOUR, sinks.TOUR, words.TOUR, believe.TOUR)}
