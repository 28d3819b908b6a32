# Ray's own image with the pinned versions of requirements.txt and this package: what a new node need
# not install. Build it where Docker runs, in the repository's folder:
#   docker build --tag registry.example/ffl-ray:2.60.0 .
# For a head without a GPU, from the smaller base:
#   docker build --build-arg RAY_IMAGE=rayproject/ray:2.60.0-py312-cpu --tag registry.example/ffl-ray:2.60.0-cpu .
ARG RAY_IMAGE=rayproject/ray:2.60.0-py312-gpu
FROM ${RAY_IMAGE}

WORKDIR /home/ray/ffl_ray
# What changes least comes first: a change of code alone installs nothing again.
COPY --chown=1000:100 requirements.txt ./
RUN pip install --no-cache-dir --require-hashes --requirement requirements.txt

COPY --chown=1000:100 pyproject.toml README.md LICENSE ./
COPY --chown=1000:100 search_spaces ./search_spaces
COPY --chown=1000:100 ffl_ray ./ffl_ray
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

# The user `ray`, by number: Kubernetes can't tell that a name is not root's.
USER 1000:100
