# Debian's own Python as a base: it needs a `python`, a `pip`, and leave to install packages.
FROM debian:bookworm-slim

RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-pip \
    && rm -rf /var/lib/apt/lists/* \
    && ln -s python3 /usr/bin/python
