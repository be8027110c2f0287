"""A simulator of phones, mirrors, and those who are after them (docs/release.md#simulated).

Thousands of phones live through four months of a real channel: with wrong clocks, without power in the middle of a write, with mirrors that
lie in every way that is known. A judge with rules of its own looks at every disk after every visit.
"""

from chordkit.release.simulation.fleet import make_fleet
from chordkit.release.simulation.planted import FAULTS, Fault
from chordkit.release.simulation.remembering import remembering
from chordkit.release.simulation.scenario import BEGIN, DAYS, END, Pace, Scenario, Stop
from chordkit.release.simulation.simulation import Simulation, Tally

__all__ = ["BEGIN", "DAYS", "END", "FAULTS", "Fault", "Pace", "Scenario", "Simulation", "Stop", "Tally", "make_fleet", "remembering"]
