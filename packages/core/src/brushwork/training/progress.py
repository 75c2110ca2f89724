"""Show a person how far a training is and how long it will take.

A terminal shows a bar. A file or a pipe receives only plain lines, about one a minute.
"""

import math
import time
from contextlib import AbstractContextManager

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 60.0

# The work for a line may take at most this share of the time.
MAX_SHARE = 0.01

# The first steps are slow (compilation, memory), so the speed is measured after them: over ten
# steps that take two seconds, or over fewer steps if each takes long.
FIRST_STEPS, MEASURED_STEPS, MEASURED_SECONDS, ENOUGH_SECONDS = 3, 10, 2.0, 20.0


def fraction_done(step: int, num_steps: float, seconds: float, limit: float) -> float:
    """Compute which share of a training is done, in [0, 1].

    Args:
        step: steps done.
        num_steps: steps of the whole training; infinite if only the time ends it.
        seconds: seconds of training so far, over all starts.
        limit: seconds of the whole training; infinite if only the steps end it.

    >>> fraction_done(step=30, num_steps=120, seconds=60, limit=120)
    0.5
    """
    return min(1.0, max(step / num_steps, seconds / limit))


def seconds_left(
    step: int, num_steps: float, seconds: float, limit: float, seconds_per_step: float
) -> float:
    """Estimate the seconds until the last step or the time limit, whichever comes first.

    >>> seconds_left(30, 120, seconds=60, limit=1000, seconds_per_step=2)
    180
    """
    return max(0, min((num_steps - step) * seconds_per_step, limit - seconds))


def duration(seconds: float) -> str:
    """Write a duration in words, rounded.

    >>> [duration(seconds) for seconds in (3, 44, 160, 3540, 9000, 400_000)]
    ['a few seconds', '40 seconds', '3 min', '59 min', '2 h 30 min', '4 days 15 h']
    """
    if seconds < 10:
        return "a few seconds"
    if seconds < 55:
        return f"{10 * max(1, round(seconds / 10))} seconds"
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} {'day' if days == 1 else 'days'}" + (f" {hours} h" if hours else "")


def about(seconds: float) -> str:
    """Write an estimated duration, such as "about 3 min"."""
    return duration(seconds) if seconds < 10 else f"about {duration(seconds)}"


class Progress(AbstractContextManager["Progress"]):
    """Progress of a training: an estimate after the first steps, then a bar or lines.

    Lines go to stdout, the bar to stderr, and only if that is a terminal.

    Attributes:
        num_steps: steps of the whole training; infinite if only the time ends it.
        limit: seconds of the whole training; infinite if only the steps end it.
    """

    def __init__(
        self, num_steps: float, limit: float, step: int, seconds: float, visible: bool = True
    ) -> None:
        """Begin at the step and the seconds at which the training starts or continues.

        Args:
            num_steps: see above.
            limit: see above.
            step: steps done before.
            seconds: seconds of training before.
            visible: False in all processes but the first, which then show nothing.
        """
        self.num_steps, self.limit, self._visible = num_steps, limit, visible
        self._step, self._seconds = step, seconds
        self._first_step, self._first_seconds = step, seconds  # where the speed is measured from
        self._begins_at = step + FIRST_STEPS
        self._estimated = False
        self._wait = SECONDS_BETWEEN_LINES
        self._last_line = self._asked = time.monotonic()
        self._bar = tqdm(
            total=1.0,
            initial=fraction_done(step, num_steps, seconds, limit),
            bar_format="{percentage:3.0f}%|{bar:30}| {desc}",
            disable=None if visible else True,  # None: shown on a terminal only
            leave=False,
        )

    def update(self, step: int, seconds: float) -> None:
        """Show that `step` steps are done after `seconds` of training, over all starts."""
        self._step, self._seconds = step, seconds
        if step == self._begins_at:
            self._first_step, self._first_seconds = step, seconds
        if not self._estimated and self._is_measured():
            self._estimated = True
            if self.num_steps != math.inf:
                self.say(f"it will take {about(self._left())}, estimated from the first steps")
        self._bar.set_description_str(self.state(), refresh=False)
        done = fraction_done(step, self.num_steps, seconds, self.limit)
        self._bar.update(done - self._bar.n)

    def state(self) -> str:
        """Write the step and the time that is left, such as "step 40 of 1,500, 3 min left"."""
        of = "" if self.num_steps == math.inf else f" of {self.num_steps:,}"
        left = f", {about(self._left())} left" if self._estimated else ""
        return f"step {self._step:,}{of}{left}"

    def is_due(self) -> bool:
        """Return whether it is time for the next line; False in processes that show nothing.

        Lines are a minute apart, or more if the work for the last one took more than `MAX_SHARE` of
        a minute. That work is what happens between this call and the next call of `say`.
        """
        self._asked = time.monotonic()
        return self._visible and self._asked - self._last_line >= self._wait

    def report(self, text: str) -> None:
        """Write the line that was due, with the step and the time that is left."""
        self._last_line = time.monotonic()
        self._wait = max(SECONDS_BETWEEN_LINES, (self._last_line - self._asked) / MAX_SHARE)
        self.say(f"{self.state()}: {text}")

    def say(self, text: str) -> None:
        """Write a line, above the bar if there is one."""
        if self._visible:
            with tqdm.external_write_mode():
                print(text, flush=True)

    def _is_measured(self) -> bool:
        steps, seconds = self._step - self._first_step, self._seconds - self._first_seconds
        if self._step <= self._begins_at:
            return False
        long_enough = steps >= MEASURED_STEPS and seconds >= MEASURED_SECONDS
        return long_enough or seconds >= ENOUGH_SECONDS

    def _left(self) -> float:
        steps = max(1, self._step - self._first_step)
        speed = (self._seconds - self._first_seconds) / steps
        return seconds_left(self._step, self.num_steps, self._seconds, self.limit, speed)

    def __exit__(self, *_: object) -> None:
        self._bar.close()
