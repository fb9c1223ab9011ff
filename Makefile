# anchord: `make help` lists the targets.
#
#   MODE=release|debug|asan|tsan   ONEDNN=0|1   CC=gcc|clang   WERROR=0|1
#
# Each combination builds into a folder of its own, so modes never mix and nothing needs a clean.

MODE    ?= release
WERROR  ?= 1
CXX     ?= g++
ifeq ($(origin CC),default)
CC      := gcc
endif
HAVE_DNNL := $(wildcard /usr/include/dnnl.h /usr/include/*/dnnl.h /usr/local/include/dnnl.h)
ONEDNN  ?= $(if $(HAVE_DNNL),1,0)
HAVE_FAISS_C := $(wildcard /usr/lib/libfaiss_c.* /usr/lib/*/libfaiss_c.* /usr/local/lib/libfaiss_c.*)

LAYERS  := base engine/kernels engine/ops engine/pictures engine engine/objectives engine/data engine/learning engine/judging \
           engine/training index/values index/catalog index/vectors index api/services api/jobs api/requests \
           server/process server/http server/commands server
PACKAGES := gcc g++ make pkg-config curl libmicrohttpd-dev libjansson-dev libfaiss-dev \
            libopenblas-openmp-dev libdnnl-dev libjpeg62-turbo-dev libpng-dev libwebp-dev liblcms2-dev zlib1g-dev \
            libsqlite3-dev nettle-dev libutf8proc-dev libgnutls28-dev libcmocka-dev
TOOLS   := clang clang-format clang-tidy strace # for some targets; neither build nor test need them
PREFIX  ?= /usr/local

MODE_release := -O2 -g -fno-math-errno -D_FORTIFY_SOURCE=2 -fstack-protector-strong
MODE_debug   := -O1 -g3
MODE_asan    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
MODE_tsan    := -O1 -g -fsanitize=thread -DANCHORD_TSAN
MODE_fuzz    := $(MODE_asan) -fsanitize=fuzzer-no-link
CXXMODE_fuzz := -fno-sanitize=vptr # its runtime comes with a C++ link only
LINK_release := -Wl,-z,relro,-z,now
SAN_asan     := -fsanitize=address,undefined
SAN_tsan     := -fsanitize=thread
SAN_fuzz     := $(SAN_asan)

# clang takes the float that NAN is for a promotion.
WARN    := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wformat=2 \
           -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla -Wwrite-strings -Wcast-qual \
           -Wpointer-arith $(if $(filter gcc%,$(notdir $(CC))),-Wdouble-promotion -Wno-format-truncation) \
           $(if $(filter 1,$(WERROR)),-Werror)
CPPFLAGS += -I. -D_GNU_SOURCE -DANCHORD_ONEDNN=$(ONEDNN) $(if $(HAVE_FAISS_C),-DHAVE_FAISS_C)
# One OpenMP runtime, the one that OpenBLAS, FAISS and oneDNN bring; clang has no code for it and runs our loops in turn.
OPENMP  := -fopenmp$(if $(filter clang%,$(notdir $(CC))),=libgomp)
CFLAGS_ALL   = -std=gnu17 $(MODE_$(MODE)) $(WARN) $(OPENMP) -pthread $(CFLAGS)
CXXFLAGS_ALL = -std=c++17 $(filter-out %fuzzer-no-link,$(MODE_$(MODE))) $(CXXMODE_$(MODE)) -Wall -Wextra -Wshadow $(if $(filter 1,$(WERROR)),-Werror) \
               -fopenmp -pthread $(CXXFLAGS)
LIBS    := $(if $(HAVE_FAISS_C),-lfaiss_c) -lfaiss -lopenblas $(if $(filter 1,$(ONEDNN)),-ldnnl) \
           -lmicrohttpd -lgnutls -ljansson -lsqlite3 -lnettle -lutf8proc -ljpeg -lpng -lwebp -llcms2 -lz -lgomp -lstdc++ -lm -ldl -pthread
LDFLAGS_ALL = $(SAN_$(MODE)) $(LINK_$(MODE)) $(LDFLAGS)

B := build/$(MODE)$(if $(filter-out gcc,$(notdir $(CC))),-$(notdir $(CC)))$(if $(filter 0,$(ONEDNN)),-nodnnl)

# A new source file needs no registration: each folder is taken whole.
SRC     := $(filter-out server/main.c,$(wildcard $(LAYERS:%=%/*.c)))
ifeq ($(ONEDNN),0)
SRC     := $(filter-out %_dnnl.c,$(SRC))
endif
OBJ     := $(SRC:%.c=$(B)/%.o) $(patsubst %.cc,$(B)/%.o,$(wildcard index/*/*.cc))
LIB     := $(B)/libanchord.a
TESTLIB_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard tests/lib/*.c))
TESTLIB := $(B)/libtest.a
BENCHLIB_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard bench/lib/*.c)) $(patsubst %.cc,$(B)/%.o,$(wildcard bench/lib/*.cc))
TESTS   := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard $(LAYERS:%=tests/%/test_*.c) tests/docs/test_*.c tests/http/test_*.c))
FUZZERS := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
REPLAYS := $(FUZZERS:%=$(B)/tests/fuzz/replay_%)
BENCHES := $(patsubst bench/%.c,$(B)/bench/%,$(wildcard bench/bench_*.c))
# Quick ones that start no process: what tests/order.txt names is neither, nor is what asks a server.
CHECKS  := $(filter-out $(B)/tests/http/% $(patsubst %,$(B)/tests/%,$(shell sed -n 's/^[a-z][a-z]* \([^ ]*\)$$/\1/p' tests/order.txt)),$(TESTS))
FORMATTED := $(wildcard $(addsuffix /*.[ch],$(LAYERS) $(LAYERS:%=tests/%) tests $(addprefix tests/,http lib faults fuzz) bench bench/lib) index/*/*.cc)
CLANG_FORMAT ?= $(or $(notdir $(firstword $(shell command -v clang-format-14 clang-format))),clang-format)

.DEFAULT_GOAL := build/anchord
.DELETE_ON_ERROR:
.SECONDARY:

help: ## this list
	@sed -nE 's/^([a-z][a-z._-]*):[^#]*## (.*)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'\t' '{printf "  %-22s %s\n", $$1, $$2}'
	@echo; echo 'While working: make check.  Before a commit: make fmt layers headers test.'

build: build/anchord ## build the program as build/anchord (what `make` alone does)

build/anchord: $(B)/anchord
	@cp -f $< $@.tmp && mv -f $@.tmp $@

deps: ## install what is missing (apt, with sudo when not root)
	@./configs/deps.sh $(PACKAGES)

tools: ## install what fmt, tidy, fuzz and proof need (apt)
	@./configs/deps.sh $(TOOLS)

# When this file is new, make starts over and sees the libraries that were just installed.
build/deps.mk: configs/deps.sh Makefile
	@./configs/deps.sh --if-missing $(PACKAGES)
	@mkdir -p build && echo '# the packages are there' > $@
ifneq ($(if $(MAKECMDGOALS),$(filter-out help deps tools fmt fmt-check layers uninstall clean,$(MAKECMDGOALS)),all),)
include build/deps.mk
endif

$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "CC  $<"; $(CC) $(CPPFLAGS) $(CFLAGS_ALL) -MMD -MP -c $< -o $@

$(B)/%.o: %.cc Makefile
	@mkdir -p $(@D)
	@echo "CXX $<"; $(CXX) $(CPPFLAGS) $(CXXFLAGS_ALL) -MMD -MP -c $< -o $@

$(LIB): $(OBJ)
	@rm -f $@ && ar rcs $@ $^

$(TESTLIB): $(TESTLIB_OBJ)
	@rm -f $@ && ar rcs $@ $^

$(B)/anchord: $(B)/server/main.o $(LIB)
	@echo "LD  $@"; $(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

$(B)/tests/%: $(B)/tests/%.o $(TESTLIB) $(LIB)
	@mkdir -p $(@D)
	@echo "LD  $@"; $(CC) $(LDFLAGS_ALL) -o $@ $^ -lcmocka $(LIBS)

$(B)/tests/fuzz/replay_%: $(B)/tests/fuzz/fuzz_%.o $(B)/tests/fuzz/replay.o $(TESTLIB) $(LIB)
	@echo "LD  $@"; $(CC) $(LDFLAGS_ALL) -o $@ $^ -lcmocka $(LIBS)

build/fuzz-clang/fuzz_%: $(B)/tests/fuzz/fuzz_%.o $(TESTLIB) $(LIB)
	@echo "LD  $@"; $(CC) -fsanitize=fuzzer $(LDFLAGS_ALL) -o $@ $^ -lcmocka $(LIBS)

$(B)/bench/%: $(B)/bench/%.o $(BENCHLIB_OBJ) $(TESTLIB) $(LIB)
	@mkdir -p $(@D)
	@echo "LD  $@"; $(CC) $(LDFLAGS_ALL) -o $@ $^ -lcmocka $(LIBS)

# Preloaded by tests that lose power or break system calls; never with a sanitizer in it.
PRELOAD := $(B)/tests/faults/preload.so
$(PRELOAD): tests/faults/preload.c tests/faults/journal.h Makefile
	@mkdir -p $(@D)
	@echo "CC  $<"; $(CC) $(CPPFLAGS) -std=gnu17 -O1 -g $(WARN) -fPIC -shared -o $@ $<

# The program with its switch of generations torn in two, so that a test can see what one transaction is worth.
SPLIT := $(B)/tests/faults/anchord-split
$(SPLIT): $(B)/server/main.o $(B)/tests/faults/split_switch.o $(LIB)
	@mkdir -p $(@D)
	@echo "LD  $@"; $(CC) $(LDFLAGS_ALL) -Wl,--wrap=catalog_generation_switch -o $@ $^ $(LIBS)

# The program without what mends a failed sync, so that a test can see what that is worth.
BELIEVE := $(B)/tests/faults/anchord-believe
$(BELIEVE): $(B)/server/main.o $(B)/tests/faults/believe.o $(LIB)
	@mkdir -p $(@D)
	@echo "LD  $@"; $(CC) $(LDFLAGS_ALL) -Wl,--wrap=file_renew,--wrap=sql_upkeep -o $@ $^ $(LIBS)

tests: $(TESTS) $(REPLAYS) $(PRELOAD) $(SPLIT) $(BELIEVE) $(B)/anchord

check: ## the quick tests, within a minute: those that start no process
	@$(MAKE) --no-print-directory $(CHECKS)
	@B=$(B) ./tests/run.sh $(CHECKS)

test: ## build and run every test, TEST_JOBS at a time (tests/README.md)
	@$(MAKE) --no-print-directory tests
	@B=$(B) ./tests/run.sh $(TESTS) $(REPLAYS)

asan: ## every test under AddressSanitizer and UBSan
	@$(MAKE) --no-print-directory MODE=asan test

tsan: ## the concurrent tests under ThreadSanitizer
	@$(MAKE) --no-print-directory MODE=tsan test

test-clients: build/anchord ## OpenAI's own client against a server (npm; skipped without)
	@./tests/clients/openai.sh ./build/anchord build/clients

# What libFuzzer finds worth keeping goes to build/fuzz-corpus; only what is chosen by hand is committed.
T ?= image
S ?= 60
fuzz: ## one fuzz target for S seconds (clang): make fuzz T=image S=60
	@$(MAKE) --no-print-directory CC=clang MODE=fuzz build/fuzz-clang/fuzz_$(T)
	@mkdir -p build/fuzz-corpus/$(T)
	./build/fuzz-clang/fuzz_$(T) -max_total_time=$(S) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
	  -artifact_prefix=build/fuzz-corpus/ build/fuzz-corpus/$(T) tests/fuzz/corpus/$(T)

KILLS ?= 100
KILL_TESTS = $(addprefix $(B)/tests/http/,test_kill test_generation_kill test_job_kill)

kill: ## KILLS times kill -9 and loss of power under load, with a ledger
	@$(MAKE) --no-print-directory $(KILL_TESTS) $(PRELOAD) $(SPLIT) $(B)/anchord
	@for t in $(KILL_TESTS); do B=$(B) KILLS=$(KILLS) $$t || exit 1; done

S_GENERATIONS := $(if $(filter file,$(origin S)),60,$(S))
generations: ## change a model, and back, for S seconds under load; each answer is compared with an exact search
	@$(MAKE) --no-print-directory $(B)/tests/http/test_generations $(B)/anchord
	@B=$(B) GENERATIONS=$(S_GENERATIONS) $(B)/tests/http/test_generations

soak: ## everything at once for S seconds: make soak S=300
	@$(MAKE) --no-print-directory $(B)/tests/http/test_soak $(B)/anchord
	@B=$(B) SOAK=$(S) $(B)/tests/http/test_soak

proof: ## each answer comes after the syncs of file, folder and log (needs strace)
	@$(MAKE) --no-print-directory $(B)/tests/http/test_syncs $(B)/anchord
	@B=$(B) $(B)/tests/http/test_syncs

TORTURE := torture requests smuggling leaving limits bodies images corpus big_pictures auth drain restart soak
torture: ## what bad input gets, written to docs/bad-input.md
	@$(MAKE) --no-print-directory $(TORTURE:%=$(B)/tests/http/test_%) $(B)/anchord
	@B=$(B) ./tests/torture.sh docs/bad-input.md $(TORTURE:%=$(B)/tests/http/test_%)

PHOTOS ?=
bench: ## every figure beside what it is compared with: make bench PHOTOS=DIR
	@$(MAKE) --no-print-directory $(BENCHES) $(B)/anchord
	@./bench/run.sh $(B) $(PHOTOS)

bench-peers: ## install the servers that make bench compares with (npm, python3-torch)
	@./bench/peers/node/install.sh

# A folder of labelled folders for bench-objectives; for base-model one with train/ and val/ of such.
PICTURES ?=
need-pictures:
	@test -n "$(PICTURES)" || { echo "name a folder of pictures: make $(MAKECMDGOALS) PICTURES=DIR" >&2; exit 2; }

bench-objectives: need-pictures build/anchord ## every objective on the same pictures, hours: make bench-objectives PICTURES=DIR
	@./bench/objectives.py ./build/anchord $(PICTURES) build/bench-objectives

base-model: need-pictures build/anchord ## train models/anchord-base.safetensors anew, hours: make base-model PICTURES=DIR
	@./configs/anchord-base.sh ./build/anchord $(PICTURES)

run: build/anchord ## build and serve on 127.0.0.1:8080, data in ./data
	@exec ./build/anchord serve

demo: build/anchord ## a drawn catalogue, served, searched and shown on a contact sheet
	@./configs/demo.sh ./build/anchord build/demo

layers: ## includes point only downwards, each library stays in its home
	@./tests/layers.sh && ./tests/homes.sh

headers: ## each header compiles on its own
	@printf '%s\n' $(wildcard $(LAYERS:%=%/*.h)) | xargs -P $$(nproc) -I @ \
	  $(CC) $(CPPFLAGS) $(CFLAGS_ALL) -Wno-pedantic -include @ -fsyntax-only -x c /dev/null && echo 'headers: each compiles on its own'

fmt: ## format every source by .clang-format (version 14)
	@$(CLANG_FORMAT) -i $(FORMATTED)

fmt-check: ## fail when fmt would change something
	@$(CLANG_FORMAT) --dry-run -Werror $(FORMATTED) && echo 'fmt: clean'

tidy: compile_commands.json ## clang-tidy over the product by .clang-tidy, minutes
	@printf '%s\n' $(SRC) server/main.c | xargs -P $$(nproc) -n 4 clang-tidy --quiet -p . --extra-arg=-Wno-unknown-warning-option

# As the compiler is called here, for editors and clang-tidy.
compile_commands.json: Makefile FORCE ## for editors: how each file is compiled
	@printf '%s\n' $(filter %.c,$(FORMATTED)) | sed >$@ -e '1s|^|[|; $$!s|$$|,|; $$s|$$|]|' \
	  -e 's|[a-z][^],]*|{"directory": "$(CURDIR)", "file": "&", "command": "$(CC) $(CPPFLAGS) $(CFLAGS_ALL) -c &"}|'

# ---- on this machine ----

SHARE = $(DESTDIR)$(PREFIX)/share
UNIT  = $(DESTDIR)$(PREFIX)/lib/systemd/system/anchord.service
install: build/anchord ## the program, its model, manual, examples and systemd unit: DESTDIR=, PREFIX=/usr/local
	install -D -m 755 build/anchord $(DESTDIR)$(PREFIX)/bin/anchord
	install -D -m 644 -t $(SHARE)/anchord models/anchord-base.safetensors configs/anchord.json configs/train-example.json
	install -D -m 644 -t $(SHARE)/doc/anchord README.md CHANGELOG.md LICENSE THIRD_PARTY.md models/anchord-base.md docs/*.md docs/*.svg
	install -D -m 644 -t $(SHARE)/man/man1 docs/anchord.1
	install -d $(dir $(UNIT))
	sed 's,/usr/local,$(PREFIX),g' configs/anchord.service >$(UNIT)

uninstall: ## take away what install put there
	rm -f $(DESTDIR)$(PREFIX)/bin/anchord $(SHARE)/man/man1/anchord.1 $(UNIT)
	rm -rf $(SHARE)/anchord $(SHARE)/doc/anchord

clean: ## remove everything that was built
	rm -rf build

-include $(OBJ:.o=.d) $(patsubst %,%.d,$(TESTS)) $(B)/server/main.d $(TESTLIB_OBJ:.o=.d) $(BENCHLIB_OBJ:.o=.d)

-include $(FUZZERS:%=$(B)/tests/fuzz/fuzz_%.d)

.PHONY: FORCE help build deps tools check test tests test-clients asan tsan fuzz kill generations soak proof torture bench bench-peers bench-objectives base-model need-pictures run demo layers headers fmt fmt-check tidy install uninstall clean
