"""The page served: its run, its address, its end."""

from __future__ import annotations

import os
import socket
import tempfile
from importlib.util import find_spec
from pathlib import Path

import torch
import uvicorn

from benchmark.output.terminal import say, terminal
from benchmark.results.store import load_result
from experiments.errors import InputError, clear_errors
from experiments.published import FILE, Bin, find_run, read_published, to_bins

HOST = "127.0.0.1"


def known(run: Path) -> tuple[float | None, tuple[Bin, ...]]:
    """Test mIoU, and how far probabilities could be trusted; of a run in runs/ nothing is known."""
    if (run / FILE).is_file():
        about = read_published(run)
        return about.miou, about.reliability
    if (run / "result.json").is_file():
        stored = load_result(run)
        return stored.metrics["miou"], () if stored.sweep is None else to_bins(stored.sweep, stored.lines)
    return None, ()


def listen(port: int) -> socket.socket:
    """A socket on this machine's own address.

    Raises:
        InputError: the port is taken or not allowed.
    """
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        raise InputError(f"--port {port}: {error.strerror}; give another, or 0 for any that is free") from None
    return listener


def main(run: Path, port: int) -> None:
    """Serve the page until Ctrl-C."""
    console = terminal(soft_wrap=True)
    with clear_errors(), tempfile.TemporaryDirectory(prefix="rsrefseg-demo-") as folder:
        if find_spec("gradio") is None:
            raise InputError("gradio is not installed; `make demo` sets it up")
        network, config = find_run(run)
        network.to("cuda" if torch.cuda.is_available() else "cpu")
        os.environ |= {"GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
        tempfile.tempdir = folder  # uploads and masks: gone when the page is closed
        from experiments.webpage.page import Served, build_app  # gradio, which may not be installed

        with listen(port) as listener:
            port = listener.getsockname()[1]
            app = build_app(Served(network, config, *known(run)), port)
            server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
            say(console, f"{config.variant} of {config.model_name}, trained on {config.dataset}, seed {config.seed}")
            console.print(f"http://{HOST}:{port}  (Ctrl-C closes it)")
            try:
                server.run(sockets=[listener])
            except KeyboardInterrupt:  # uvicorn has shut down, and passes it on
                console.print()
            console.print("closed")
