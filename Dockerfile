# Build:  docker build -t anchord .     or: buildah build --format docker -t anchord .
# Run:    docker run -p 8080:8080 -v anchord:/data anchord
#         The first start makes an admin key and prints it once; or give one with ANCHORD_ADMIN_KEY_FILE.
#         All settings are environment variables: `docker run anchord help settings`.

ARG BASE=debian:12-slim

FROM ${BASE} AS build
WORKDIR /src
COPY Makefile ./
COPY configs/deps.sh configs/
RUN make --version >/dev/null 2>&1 || { apt-get update -qq && apt-get install -y -qq --no-install-recommends make; }
RUN make deps
COPY . .
RUN make -j"$(nproc)" build/anchord && strip build/anchord

FROM ${BASE}
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      libmicrohttpd12 libgnutls30 libjansson4 libopenblas0-openmp libdnnl2 libjpeg62-turbo libpng16-16 libwebp7 liblcms2-2 zlib1g \
      libsqlite3-0 libnettle8 libutf8proc2 libgomp1 libstdc++6 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --no-create-home --home-dir /data anchord \
 && install -d -o anchord -g anchord -m 0700 /data
COPY --from=build /src/build/anchord /usr/local/bin/anchord
COPY models/anchord-base.safetensors /usr/local/share/anchord/
COPY configs/container-start.sh /usr/local/bin/container-start
COPY LICENSE THIRD_PARTY.md /usr/share/doc/anchord/
ENV ANCHORD_DATA=/data \
    ANCHORD_LISTEN=0.0.0.0:8080 \
    ANCHORD_ADMIN_LISTEN=0.0.0.0:8081 \
    MALLOC_ARENA_MAX=4
USER anchord
WORKDIR /data
VOLUME /data
EXPOSE 8080 8081
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["anchord", "health"]
ENTRYPOINT ["container-start"]
CMD ["serve"]
