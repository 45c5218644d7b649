# Images of Sandgate. Target `sandbox` is what user code runs in.
#
# Its build context is not this repository but the runner root that sandgate makes from
# the Python it runs with, so nothing is downloaded; sandgate builds the image when it is
# missing. BASE_IMAGE only adds what an operator wants beside the runner root.

ARG BASE_IMAGE=scratch

FROM ${BASE_IMAGE} AS sandbox
COPY root/ /
WORKDIR /
# every container gets a user of its own; this one is for who starts the image by hand
USER 65534:65534
ENTRYPOINT ["/python/bin/python3", "-I", "-m", "runner", "--control", "/ctl/control.sock"]
