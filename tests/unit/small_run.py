"""A run of a tiny model on generated sounds, in this process, whose results stay in memory."""

from small_parts import catalog

from pannsdist import settings
from pannsdist.audio.loader import Loader
from pannsdist.distributed.fleet import SingleProcessWorld
from pannsdist.run import building
from pannsdist.run.planning.decide import decide
from pannsdist.training.fit_context import ResultSinks

TEXT = """
model: {name: small}
data: {name: tones, workers: 0, params: {classes: 2, clips_per_class: 9, valid_clips_per_class: 3, duration_s: 0.3,
  sample_rate_hz: 8000}}
train: {epochs: 4, batch_size: 4, crop_s: 0.2}
optimizer: {learning_rate: 0.02}
log: {every_steps: 3}
"""


class Recorder:
    """A tracker that stores its reports."""

    def __init__(self):
        self.step_reports, self.epoch_reports = [], []

    def steps(self, report):
        self.step_reports.append(report)

    def epoch(self, report):
        self.epoch_reports.append(report)

    def flush(self):
        pass

    def close(self):
        pass


class Run:
    """A run of the small model; resumes from `snapshot` if there is one. `is_asynchronous`: as on a GPU."""

    def __init__(self, folder, *overrides, snapshot=None, text=TEXT, is_asynchronous=False):
        (folder / "run.yaml").write_text(text, encoding="utf-8")
        chosen, origin = settings.load(folder / "run.yaml", overrides)
        self.plan = decide(chosen, origin, catalog(), 1)
        self.network = building.build_network(self.plan)
        self.start = building.load_pretrained(self.plan, self.network, snapshot)
        world = SingleProcessWorld()
        world.is_asynchronous = is_asynchronous
        self.parts = building.build_parts(self.plan, world, self.network, Loader(0))
        self.progress = self.parts.trainer.restore(snapshot)
        self.recorder, self.bad, self.kept, self.bad_steps = Recorder(), [], [], []

    def fit(self, data=None, is_stop_requested=lambda: False):
        sinks = ResultSinks(
            [self.recorder], lambda *kept: self.kept.append(kept), self.bad.extend, self.bad_steps.append
        )
        self.progress = self.parts.trainer.fit(
            self.progress, data or self.parts.data, self.parts.split, sinks, is_stop_requested
        )
        return self

    @property
    def last(self):
        return self.kept[-1][0]
