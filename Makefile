# Aviary. `make help` lists what there is.
#
# One source, built in trees under build/: f32 and f64 (the two precisions), the same two again with sanitizers, and one
# that counts which lines run. ./aviary is the float32 program; it calls build/f64/aviary when float64 is asked for. Beside
# each a program for tests whose inner wall is torn down, build/torn_f32/aviary: what the kernel alone keeps a script from
# doing.

PACKAGES := gcc libc6-dev make pkg-config liblua5.4-dev libcjson-dev libedit-dev libopenblas-openmp-dev libdnnl-dev \
            libzip-dev zlib1g-dev libpcre2-dev libutf8proc-dev libseccomp-dev libcmocka-dev gnuplot-nox lua5.4
TEXT_PACKAGES := bible-kjv bible-kjv-text# of `make text`
# What a build cannot do without, and where it comes from.
HEADERS := stdio.h=gcc,libc6-dev lua.h=pkg-config,liblua5.4-dev cjson/cJSON.h=libcjson-dev editline/readline.h=libedit-dev \
           cblas.h=libopenblas-openmp-dev zip.h=libzip-dev zlib.h=zlib1g-dev pcre2posix.h=libpcre2-dev \
           utf8proc.h=libutf8proc-dev seccomp.h=libseccomp-dev

CC      ?= gcc
PREFIX  ?= /usr/local
SCALE   ?= # of `make demo` and of the benchmarks; each has its own without it
SECONDS ?= 60
TEST_TREES ?= f32 f64
THREADS ?= $(shell nproc)
PYTHON  ?= python3
BENCH   ?= runs/bench
T       ?= # of `make test`: the tests whose names contain it
WERROR  ?= # 1: a warning is an error, as in CI

# For another machine, with its libraries in a directory laid out like / :
#   make CC=aarch64-linux-gnu-gcc SYSROOT=/srv/arm64
SYSROOT ?=
ifneq ($(SYSROOT),)
override CC += --sysroot=$(SYSROOT)
PKG_CONFIG ?= PKG_CONFIG_SYSROOT_DIR=$(SYSROOT) PKG_CONFIG_LIBDIR=$(SYSROOT)/usr/lib/$(MACHINE)/pkgconfig pkg-config
endif
PKG_CONFIG ?= pkg-config

# Looked up when they are used: by then the packages are there.
MACHINE = $(subst -pc-,-,$(shell $(CC) -dumpmachine))# as Debian calls it, x86_64-linux-gnu
AR = $(shell $(CC) -print-prog-name=ar)
BLAS_DIR = $(patsubst $(SYSROOT)%,%,$(shell ls -d $(SYSROOT)/usr/lib/$(MACHINE)/openblas-openmp 2>/dev/null))
DNNL = $(if $(wildcard $(SYSROOT)/usr/include/dnnl.h),-ldnnl)

WARN    := -Wall -Wextra $(if $(WERROR),-Werror) -Wpedantic -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes \
           -Wdouble-promotion $(if $(findstring clang,$(CC)),-Wno-double-promotion -Wno-pass-failed \
           -Wno-missing-field-initializers)
# Position-independent, so that the program and the module for a stock Lua are linked from the same objects and give the
# same numbers; hidden names keep calls direct and inlining possible all the same.
COMMON  := -std=c11 -D_GNU_SOURCE -g -fPIC -fvisibility=hidden $(WARN) -Iref -MMD -MP
# One OpenMP in a process, the one that OpenBLAS and oneDNN bring; clang's own cannot live in the sandbox.
OPENMP := $(if $(findstring clang,$(CC)),-fopenmp-simd,-fopenmp)
# The reference: no fused multiply-add, no fast math. The fast path says by pragmas where sums may be reordered.
FLAGS_ref  := -O2 -ffp-contract=off
FLAGS_fast = -O3 $(OPENMP) -Wno-psabi -ffp-contract=fast -fno-math-errno -fno-trapping-math \
             $(if $(BLAS_DIR),-I$(SYSROOT)$(BLAS_DIR:/usr/lib/%=/usr/include/%))
FLAGS_lua   = -O2 $(shell $(PKG_CONFIG) --cflags lua5.4 2>/dev/null) -Ilua -Ibuild
FLAGS_test := -O1 -ffp-contract=off -Itests

LIBS = $(if $(BLAS_DIR),-L$(SYSROOT)$(BLAS_DIR) -Wl$(comma)-rpath$(comma)$(BLAS_DIR)) -lopenblas $(DNNL) \
       -lcjson -lzip -lz -lpcre2-8 -lutf8proc -lm -lgomp -pthread
LIBS_lua = $(shell $(PKG_CONFIG) --libs lua5.4) -ledit -lseccomp -Wl,-E
LINK_module := -Wl,-z,nodelete # Lua unloads modules when it closes, but the threads of the fast kernels live on
comma := ,

SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer \
            -DAVIARY_POISON -O1
TREES := f32 f64 asan32 asan64 cov
TREE_f32    :=
TREE_f64    := -DAVIARY_DOUBLE
TREE_asan32 := $(SANITIZE)
TREE_asan64 := $(SANITIZE) -DAVIARY_DOUBLE
TREE_cov    := --coverage -fprofile-update=atomic -Wl,-u,__gcov_dump

REF   := $(wildcard ref/*.c ref/engine/*.c ref/io/*.c ref/text/*.c ref/model/*.c)
FAST  := $(wildcard ref/fast/*.c)
PROGRAM := $(wildcard lua/program/*.c)
MODULE  := lua/bindings/module.c
BINDINGS := $(filter-out $(MODULE),$(wildcard lua/bindings/*.c))
TESTS := $(patsubst tests/%.c,%,$(wildcard tests/test_*.c))
FUZZ_TARGETS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*.c))
TEST_LIB := $(filter-out tests/test_%,$(wildcard tests/*.c))

# gnuplot reads and writes UTF-8, whatever the user's language.
export LC_ALL := C.UTF-8

MAKEFLAGS += -j$(shell nproc) # as many at a time as there are processors

.PHONY: all demo text figures golden bench bench-peers test asan coverage fuzz fuzz-all lint format install clean help \
        deps
all: aviary build/f64/aviary build/f32/rwkv/core.so build/f64/rwkv/core.so compile_commands.json

help:
	@echo 'make            build ./aviary, and the module rwkv for a stock lua5.4'
	@echo 'make demo       train RWKV versions on MQAR and draw the result (SCALE=smoke: in seconds)'
	@echo 'make text       the King James Bible as build/bible.txt, which experiments on text read'
	@echo 'make figures    draw every figure that has data (SCALE=quick, small, paper: compute them first)'
	@echo 'make bench      training, decoding, every operation, scaling: tables and plots in runs/bench (SCALE=quick, full)'
	@echo 'make bench-peers  the same training in turn with PyTorch (PYTHON=python3:/other/python3), decoding with'
	@echo '                rwkv.cpp (RWKV_CPP=its library)'
	@echo 'make golden     golden numbers of every version for other implementations, in build/golden'
	@echo 'make deps       install the packages that are missing (as root; or say which); demo, test, bench, lint do it, too'
	@echo 'make test       all tests, in float32 and in float64 (T="wkv files": those with such a word in the name)'
	@echo 'make asan       the same under the address, undefined and leak sanitizers'
	@echo 'make coverage   the same in float32, counting the lines of C that ran'
	@echo 'make fuzz       random programs and damaged files against the bindings, under the same (SECONDS=60 SEED=)'
	@echo 'make fuzz-NAME  one target of libFuzzer: $(FUZZ_TARGETS) (SECONDS=60)'
	@echo 'make fuzz-all   each of them'
	@echo 'make lint       layering, file sizes, equation tags, variables of Lua (FORMAT_CHECK=1: what make format would change)'
	@echo 'make format     the sources of C as .clang-format has them'
	@echo 'make install    to PREFIX=$(PREFIX)'
	@echo 'make compile_commands.json  for clangd; a plain make does it, too'
	@echo 'make clean      remove build/ and ./aviary; results in runs/ stay'

# ---- packages ----

# Building installs nothing, it says what is missing. What needs more than a build brings it first.
INSTALLING := deps demo text figures bench bench-peers test asan fuzz coverage lint format
READY := build/$(if $(filter $(INSTALLING),$(MAKECMDGOALS)),deps,headers)

# $(call install,PACKAGES) installs what is missing of them. Without root it says what to type.
define install
missing=; if [ -z "$(SYSROOT)" ] && command -v dpkg-query >/dev/null; then for p in $(1); do \
	  dpkg-query -W -f='$${db:Status-Status}' $$p 2>/dev/null | grep -qx installed || missing="$$missing $$p"; \
	  done; fi; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ]; then echo "Installing:$$missing"; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing \
	      >build/apt.log 2>&1 || { tail -5 build/apt.log; exit 1; }; \
	  else echo "Missing packages. As root:  apt-get install$$missing"; exit 1; fi; fi
endef

deps: build/deps
build/deps: Makefile
	@mkdir -p build
	@$(call install,$(PACKAGES))
	@touch $@

build/headers: Makefile
	@mkdir -p build
	@for h in $(HEADERS); do \
	  echo "#include <$${h%=*}>" | $(CC) $(FLAGS_fast) $(FLAGS_lua) -E -x c - >/dev/null 2>&1 || { \
	  echo "$${h%=*} is not found (Debian: $${h#*=}). \`make deps\` installs what is missing." >&2; exit 1; }; done
	@touch $@

# ---- trees ----

# The commit, with a "+" if what is compiled is not the commit's; and the digests of its files of Lua: whether those that
# are run are the commit's is seen when they are (lua/rwkv/provenance.lua).
build/commit.h: FORCE
	@mkdir -p build
	@if id=$$(git rev-parse --short=10 HEAD 2>/dev/null); then \
	  files=build/commit.$$id; \
	  [ -f $$files ] || { rm -f build/commit.[0-9a-f]*; git archive HEAD '*.lua' | tar -x --to-command=sha256sum | \
	    sed 's/^\(.\{16\}\).*/  "\1", \\/' >$$files; }; \
	  git diff --quiet HEAD -- ref lua/program lua/bindings || id="$$id+"; else id=unknown files=/dev/null; fi; \
	version=$$(sed -n 's/^## \([0-9.]*\).*/\1/p' CHANGELOG.md | head -1); \
	text="$$(printf '#define AVIARY_VERSION "%s"\n#define AVIARY_COMMIT "%s"\n' "$$version" "$$id"; \
	  printf '#define AVIARY_FILES \\\n'; cat $$files; echo '  NULL')"; \
	[ "$$text" = "$$(cat $@ 2>/dev/null)" ] || echo "$$text" >$@
FORCE:

# What is compiled with other flags than before is compiled again.
build/flags: FORCE | $(READY)
	@text='$(CC) $(COMMON) $(FLAGS_ref) $(FLAGS_fast) $(FLAGS_lua) $(FLAGS_test) $(SANITIZE)'; \
	[ "$$text" = "$$(cat $@ 2>/dev/null)" ] || echo "$$text" >$@

define tree
OBJ_$(1) := $$(REF:%.c=build/$(1)/%.o) $$(FAST:%.c=build/$(1)/%.o)
build/$(1)/ref/fast/%.o: ref/fast/%.c build/flags
	@mkdir -p $$(@D)
	@echo "cc $(1) $$<"
	@$$(CC) $$(COMMON) $$(FLAGS_fast) $$(TREE_$(1)) -c $$< -o $$@
build/$(1)/ref/%.o: ref/%.c build/flags
	@mkdir -p $$(@D)
	@echo "cc $(1) $$<"
	@$$(CC) $$(COMMON) $$(FLAGS_ref) $$(TREE_$(1)) -c $$< -o $$@
build/$(1)/lua/%.o: lua/%.c build/flags | build/commit.h
	@mkdir -p $$(@D)
	@echo "cc $(1) $$<"
	@$$(CC) $$(COMMON) $$(FLAGS_lua) $$(TREE_$(1)) -c $$< -o $$@
build/$(1)/tests/%.o: tests/%.c build/flags
	@mkdir -p $$(@D)
	@echo "cc $(1) $$<"
	@$$(CC) $$(COMMON) $$(FLAGS_test) $$(TREE_$(1)) -c $$< -o $$@
build/$(1)/librwkv.a: $$(OBJ_$(1))
	@rm -f $$@
	@$$(AR) rcs $$@ $$^
build/$(1)/aviary: $$(patsubst %.c,build/$(1)/%.o,$$(PROGRAM) $$(BINDINGS)) build/$(1)/librwkv.a
	@echo "link $$@"
	@$$(CC) $$(TREE_$(1)) $$^ $$(LIBS_lua) $$(LIBS) -o $$@
build/torn_$(1)/lua/program/sandbox.o: lua/program/sandbox.c build/flags
	@mkdir -p $$(@D)
	@echo "cc torn_$(1) $$<"
	@$$(CC) $$(COMMON) $$(FLAGS_lua) $$(TREE_$(1)) -DAVIARY_NO_INNER_WALL -c $$< -o $$@
build/torn_$(1)/aviary: build/torn_$(1)/lua/program/sandbox.o $$(patsubst %.c,build/$(1)/%.o,$$(filter-out \
                        lua/program/sandbox.c,$$(PROGRAM)) $$(BINDINGS)) build/$(1)/librwkv.a
	@echo "link $$@"
	@$$(CC) $$(TREE_$(1)) $$^ $$(LIBS_lua) $$(LIBS) -o $$@
build/$(1)/tests/escape.so: tests/lua/lib/escape.c build/flags
	@mkdir -p $$(@D)
	@echo "link $$@"
	@$$(CC) -shared $$(COMMON) $$(FLAGS_lua) $$(filter-out --coverage,$$(TREE_$(1))) $$< -o $$@
build/$(1)/tests/far.so: tests/module/far_module.c tests/far.c build/$(1)/librwkv.a build/flags
	@mkdir -p $$(@D)
	@echo "link $$@"
	@$$(CC) -shared $$(COMMON) $$(FLAGS_test) $$(TREE_$(1)) tests/module/far_module.c tests/far.c build/$(1)/librwkv.a $$(LIBS) -o $$@
build/$(1)/rwkv/core.so: $$(patsubst %.c,build/$(1)/%.o,$$(MODULE) $$(BINDINGS)) build/$(1)/librwkv.a
	@mkdir -p $$(@D)
	@echo "link $$@"
	@$$(CC) -shared $$(TREE_$(1)) $$^ $$(LIBS) $$(LINK_module) -o $$@
build/$(1)/tests/test_%: build/$(1)/tests/test_%.o $$(TEST_LIB:%.c=build/$(1)/%.o) build/$(1)/librwkv.a
	@echo "link $$@"
	@$$(CC) $$(TREE_$(1)) $$^ -lcmocka $$(LIBS) -o $$@
-include $$(wildcard build/$(1)/*/*.d build/$(1)/*/*/*.d build/torn_$(1)/*/*/*.d)
endef
$(foreach t,$(TREES),$(eval $(call tree,$(t))))
.PRECIOUS: build/%.o

$(foreach t,$(TREES),build/$(t)/lua/bindings/commit.o build/$(t)/lua/program/version.o): build/commit.h

# How every file is compiled, for clangd and the like. A directory is newer when a file was added to it.
SOURCES := $(REF) $(FAST) $(PROGRAM) $(MODULE) $(BINDINGS) $(wildcard tests/*.c)
compile_commands.json: build/flags $(sort $(dir $(SOURCES)))
	@add() { flags=$$1; shift; for f in "$$@"; do printf "$$then"'\n{"directory": "%s", "file": "%s", "command": "%s"}' \
	  '$(CURDIR)' "$$f" "$(CC) $(COMMON) $$flags -c $$f"; then=,; done; }; \
	{ printf '['; add '$(FLAGS_ref)' $(REF); add '$(FLAGS_fast)' $(FAST); add '$(FLAGS_lua)' $(PROGRAM) $(MODULE) $(BINDINGS); \
	  add '$(FLAGS_test)' $(wildcard tests/*.c); printf '\n]\n'; } >$@

aviary: build/f32/aviary
	@cp build/f32/aviary $@.new && mv $@.new $@

# ---- what people ask for ----

# Those whose names contain one of the words of T, or all.
named = $(if $(T),$(foreach t,$(1),$(if $(strip $(foreach w,$(T),$(findstring $(w),$(t)))),$(t))),$(1))
tests_in = $(patsubst %,build/$(1)/tests/%,$(call named,$(TESTS))) build/$(1)/aviary build/torn_$(1)/aviary \
           build/$(1)/tests/escape.so build/$(1)/tests/far.so

test: all $(foreach t,$(TEST_TREES),$(call tests_in,$(t)))
	@T='$(T)' sh tests/run.sh $(TEST_TREES:%=build/%)

asan: $(call tests_in,asan32) $(call tests_in,asan64)
	@T='$(T)' sh tests/run.sh build/asan32 build/asan64

coverage: all $(call tests_in,cov)
	@find build/cov -name '*.gcda' -delete
	@T='$(T)' sh tests/run.sh build/cov; status=$$?; sh tests/coverage.sh build/cov; exit $$status

fuzz: build/asan32/aviary build/asan64/aviary
	@sh tests/fuzz.sh $(SECONDS) $(SEED) build/asan32 build/asan64

# One target of libFuzzer: tests/fuzz/NAME.c, which begins with the files that NAME.lua writes. It needs clang. libFuzzer
# follows what the library does, not what the target does.
FUZZ_FLAGS := -O2 -Wno-double-promotion -Wno-pass-failed -Wno-missing-field-initializers -DAVIARY_POISON -DARENA_BLOCK=16384 \
              -fno-omit-frame-pointer -fno-sanitize-recover=undefined -Itests
FUZZ_SANITIZE := address,undefined
build/fuzz/tests/%.o: FUZZ_FOLLOW :=
build/fuzz/%.o: FUZZ_FOLLOW := ,fuzzer-no-link
build/fuzz/%.o: %.c build/flags
	@mkdir -p $(@D)
	@echo "cc fuzz $<"
	@clang $(COMMON) $(FUZZ_FLAGS) -fsanitize=$(FUZZ_SANITIZE)$(FUZZ_FOLLOW) -c $< -o $@
build/fuzz/librwkv.a: $(REF:%.c=build/fuzz/%.o)
	@rm -f $@
	@$(AR) rcs $@ $^
build/fuzz/%: build/fuzz/tests/fuzz/%.o build/fuzz/librwkv.a
	@echo "link $@"
	@clang -fsanitize=$(FUZZ_SANITIZE),fuzzer -Wl,--wrap=mmap,--wrap=munmap $^ $(LIBS) -o $@
.PRECIOUS: build/fuzz/%
fuzz-%: build/fuzz/% aviary
	@sh tests/fuzz/run.sh $* $(SECONDS)
fuzz-all: $(FUZZ_TARGETS:%=fuzz-%)
-include $(wildcard build/fuzz/*/*.d build/fuzz/*/*/*.d)

# Debian 12's clang-format; another one has other ideas.
format:
	@$(call install,clang-format)
	@clang-format -i $(wildcard $(addsuffix /*.[ch],ref ref/* lua/* tests tests/fuzz tests/module tests/lua/lib))

lint: build/deps build/f32/librwkv.a # luac; who calls whom
	@sh tests/lint.sh

# What a table has in its name when SCALE is not the usual one.
CHOSEN := $(if $(filter-out small,$(SCALE)),.$(SCALE))

demo: all
	@./aviary experiments/mqar_demo.lua --scale $(or $(SCALE),small)
	@gnuplot -e "out='runs/mqar_demo/mqar_demo$(CHOSEN)'" plots/mqar_demo.gp
	@echo "The picture: $(CURDIR)/runs/mqar_demo/mqar_demo$(CHOSEN).png (and .svg); the numbers: mqar_demo$(CHOSEN).tsv beside it"

text: build/bible.txt

# Each book: its name, a verse a line, an empty line.
build/bible.txt:
	@mkdir -p build
	@$(call install,$(TEXT_PACKAGES))
	@bible -l99999 gen1:1-rev22:21 | awk ' \
	  /^ +[0-9]+ / {sub(/^ +[0-9]+ /, ""); print; verses++; next} \
	  NF {sub(/ [0-9]+$$/, ""); if ($$0 != book) {if (book) print ""; book = $$0; print book}} \
	  END {if (verses != 31102) {print "bible: found " verses " verses, expected 31102" >"/dev/stderr"; exit 1}}' >$@.new
	@mv $@.new $@
	@echo "The text: $@, $$(wc -c <$@) bytes"

# The figures of the papers, one experiment each, each with a plots/NAME.gp. With SCALE they are computed first; then all
# that have data are drawn, where it lies: below runs/, or else in plots/, which holds the data of the small scale.
FIGURES := mqar_versions mqar_state mqar_decay mqar_gating mqar_init longctx_loss longctx_recall parity state_tracking \
           expressivity decay_spectrum state_norm wkv_stability

figures: all $(if $(SCALE),text)
	@for f in $(if $(SCALE),$(FIGURES)); do echo "== $$f"; \
	  ./aviary experiments/$$f.lua --scale $(SCALE) --jobs $(THREADS) || exit 1; done
	@for f in $(FIGURES); do for out in runs/$$f/$$f$(CHOSEN) plots/$$f; do if [ -f $$out.figure.tsv ]; then \
	  gnuplot -e "out='$$out'" plots/$$f.gp || exit 1; echo "$(CURDIR)/$$out.png"; break; fi; done; done

golden: all
	@mkdir -p build/golden
	@for v in v1 v2 v3 v4 v5.0 v5.1 v5.2 v6 v7; do \
	  ./aviary golden make $$v build/golden/$$v.safetensors || exit 1; done

# The tables, and a picture of each that is there.
bench: all build/f32/tests/test_fast
	@./aviary bench all --scale $(or $(SCALE),quick) --threads $(THREADS) --out $(BENCH)
	@for t in bench_train bench_scaling bench_decode; do [ ! -f $(BENCH)/$$t.tsv ] || \
	  gnuplot -e "out='$(BENCH)/$$t'" plots/$$t.gp || exit 1; done
	@echo "Tables and pictures: $(BENCH)"

bench-peers: all
	@./aviary bench peers --scale $(or $(SCALE),quick) --threads $(THREADS) --python '$(PYTHON)' --out $(BENCH)
	@gnuplot -e "out='$(BENCH)/bench_peers'" plots/bench_peers.gp
	@echo "Table and picture: $(BENCH)/bench_peers.tsv, .png"

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/libexec/aviary $(DESTDIR)$(PREFIX)/share/aviary
	install aviary $(DESTDIR)$(PREFIX)/bin/aviary
	install build/f64/aviary $(DESTDIR)$(PREFIX)/libexec/aviary/aviary64
	install -d $(DESTDIR)$(PREFIX)/share/aviary/lua
	cp -r lua/rwkv lua/commands lua/pages $(DESTDIR)$(PREFIX)/share/aviary/lua
	cp -r --no-target-directory experiments $(DESTDIR)$(PREFIX)/share/aviary/experiments
	cp -r --no-target-directory plots $(DESTDIR)$(PREFIX)/share/aviary/plots
	install -d $(DESTDIR)$(PREFIX)/share/lua/5.4/rwkv $(DESTDIR)$(PREFIX)/lib/lua/5.4/rwkv
	cp -r --no-target-directory lua/rwkv $(DESTDIR)$(PREFIX)/share/lua/5.4/rwkv
	cp -r --no-target-directory lua/pages $(DESTDIR)$(PREFIX)/share/lua/5.4/rwkv/pages
	install build/f32/rwkv/core.so $(DESTDIR)$(PREFIX)/lib/lua/5.4/rwkv/core.so

clean:
	rm -rf build aviary compile_commands.json
