"""The first words on a control channel: who is dialling, and is it the runner itself."""

from sandbox.channel import Channel, ChannelClosedError, ControlDoor
from sandbox.runner.frames import Message


async def greet(
    door: ControlDoor, state: str, identity: Message, runner_pid: int | None = None
) -> Channel:
    """The connection of the runner itself; anybody else is turned away."""
    while True:
        channel = await door.accept()
        try:
            if runner_pid in (None, channel.peer_pid):
                hello = await channel.receive()
                wanted = {"type": "hello", "state": state, **identity}
                if wanted.items() <= hello.items():
                    return channel
        except ChannelClosedError:
            pass
        except BaseException:
            channel.close()
            raise
        channel.close()
