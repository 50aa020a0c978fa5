"""Costs of the arms are measured whatever ends the process that measures them, or the verdict is said to have none."""

from multiprocessing import Pipe

import pytest
from tests.studies.tiny import tiny

from actlab.studies.execution.cost_process import CostProcess
from actlab.studies.execution.job import Job
from actlab.studies.execution.template_process import TemplateError
from actlab.studies.plan import make_plan
from actlab.studies.settings import StudySettings
from actlab.studies.store.store import Store


class Template:
    """Template process whose forks are one end of a pipe."""

    is_alive = True

    def start_cost_process(self, slot):  # noqa: ARG002 # as the real one's
        self._check()
        ours, self.theirs = Pipe()
        return 1, ours

    def end_runner(self, number, *, kill):  # noqa: ARG002 # as above
        self._check()

    def kill(self):
        self.theirs.close()
        self.is_alive = False

    def _check(self):
        if not self.is_alive:
            raise TemplateError("it was ended by SIGKILL")


@pytest.fixture
def costs(tmp_path):
    plan = make_plan(tiny(), ["relu", "gelu"], baseline="relu", settings=StudySettings(seeds=2))
    store = Store(tmp_path / "a.db")
    job = Job(store=store.absolute_url, study=store.begin_study("mine", plan).id, plan=plan, task=tiny(), jobs=1)
    return CostProcess(job, tiny(), store)


def test_an_end_of_the_template_process_is_no_attempt(costs):
    for _ in range(3):
        template = Template()
        costs.start(template, 0)
        template.kill()
        costs.receive(template)  # the end of its fork is seen first
        with pytest.raises(TemplateError):
            costs.start(template, 0)
        costs.forget()
        costs.start(Template(), 0)
        costs.forget()

    assert costs.is_due


def test_a_process_that_ends_twice_is_said_to_leave_the_verdict_without_costs(costs, caplog):
    for attempt in range(2):
        assert costs.is_due, attempt
        template = Template()
        costs.start(template, 0)
        template.theirs.close()
        costs.receive(template)

    assert costs.is_done
    assert "has ended 2 times, and the verdict will have none" in caplog.text
