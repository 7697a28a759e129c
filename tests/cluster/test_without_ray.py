"""Who has no Ray is told so, in one line, before anything is made."""

from __future__ import annotations

from tests.run.world import World


def test_without_ray_installed_the_executor_says_what_to_install(world: World) -> None:
    shadow = world.path / "shadow"
    shadow.mkdir()
    (shadow / "ray.py").write_text("raise ImportError\n")
    world.extra["PYTHONPATH"] = str(shadow)
    done = world.poise("run", "--headless", "--executor", "ray")
    assert done.returncode == 2
    assert done.stderr == "poise: --executor ray needs Ray, which is not installed: pip install 'poise-tui[ray]'\n"
    assert not list((world.path / "runs").glob("*"))


def test_an_address_without_the_executor_is_no_wish_that_is_overlooked(world: World) -> None:
    done = world.poise("run", "--headless", "--ray-address", "10.0.0.1:6379")
    assert (done.returncode, done.stderr) == (2, "poise: --ray-address is for --executor ray\n")
