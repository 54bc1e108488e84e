# nst_batch for machines with NVIDIA GPUs; docs/cluster.md says how to use it:
#   docker build -t nst_batch .
#   docker run --rm --gpus all --user "$(id -u):$(id -g)" -v "$PWD:/work" -v nst-cache:/cache nst_batch run
FROM python:3.12-slim

# g++ builds kernels for the CPU it meets, at first use. CUDA comes with torch; the driver, with the machine.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*

# Gigabytes, in a layer of their own: it is made again when pyproject.toml changes, and not with every line of source.
WORKDIR /opt/nst_batch
ARG EXTRAS="parquet tensorboard"
COPY pyproject.toml ./
RUN python -c "import sys, tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
        print(*project['dependencies'], *sum((project['optional-dependencies'][each] for each in sys.argv[1:]), []), \
        sep='\n')" ${EXTRAS} > requirements.txt \
    && pip install --no-cache-dir --requirement requirements.txt

COPY README.md ./
COPY nst_batch ./nst_batch
RUN pip install --no-cache-dir --no-deps .

# Any user may run it: whoever that is can write into these. Mount /cache to keep weights and kernels.
RUN mkdir -p /cache /home/nst /work && chmod 1777 /cache /home/nst /work
ENV HOME=/home/nst \
    USER=nst \
    XDG_CACHE_HOME=/cache \
    TORCH_HOME=/cache/torch
USER 1000:1000
WORKDIR /work
ENTRYPOINT ["nst-batch"]
CMD ["--help"]
