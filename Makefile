# Aviary. `make help` lists what there is.
#
# One source, built in trees under build/: f32 and f64 (the two precisions), the same two again with sanitizers, and one
# that counts which lines run. ./aviary is the float32 program; it calls build/f64/aviary when float64 is asked for. Beside
# each a program for tests whose inner wall is torn down, build/torn_f32/aviary: what the kernel alone keeps a script from
# doing.
#
# With BUILD=DIR nothing is written into the checkout: DIR becomes a checkout of links, in which all is built and run.

PACKAGES := gcc g++ libc6-dev make pkg-config liblua5.4-dev libcjson-dev libedit-dev libopenblas-openmp-dev libdnnl-dev \
            libzip-dev zlib1g-dev libpcre2-dev libutf8proc-dev libseccomp-dev libcmocka-dev gnuplot-nox lua5.4
TEXT_PACKAGES := bible-kjv bible-kjv-text# of `make text`
# What a build cannot do without, and where it comes from.
HEADERS := stdio.h=gcc,libc6-dev lua.h=pkg-config,liblua5.4-dev cjson/cJSON.h=libcjson-dev editline/readline.h=libedit-dev \
           cblas.h=libopenblas-openmp-dev zip.h=libzip-dev zlib.h=zlib1g-dev pcre2posix.h=libpcre2-dev \
           utf8proc.h=libutf8proc-dev seccomp.h=libseccomp-dev

CC      ?= gcc
CXX     := $(subst clang,clang++,$(subst gcc,g++,$(CC)))# for kernels of CUDA, in tests: as $(CC) is
NVCC    ?= $(or $(shell command -v nvcc),/usr/local/cuda/bin/nvcc)
BUILD   ?= build
PREFIX  ?= /usr/local
SCALE   ?= # of `make demo` and of the benchmarks; each has its own without it
CHECK   ?= # of `make figures`: 1, or names of figures
SECONDS ?= 60
TEST_TREES ?= f32 f64
PYTHON  ?= python3
BENCH   ?= runs/bench
T       ?= # of `make test`: the tests whose names contain it
WERROR  ?= # 1: a warning is an error, as in CI
THREADS := pthreads# whose threads share a loop: ref/fast/pool_pthreads.c, or openmp: pool_openmp.c

# clang's own OpenMP cannot live in the sandbox, and a process has one: OpenBLAS and oneDNN bring that of gcc.
THREADING := pthreads $(if $(findstring clang,$(CC)),,openmp)
$(if $(and $(filter 1,$(words $(THREADS))),$(filter $(THREADS),$(THREADING))),,$(error THREADS=$(THREADS): expected pthreads or, with gcc, openmp. How many \
  threads there are is said by OMP_NUM_THREADS, or --threads of the program))

# Where programs run, and where ./aviary and runs/ are.
override BUILD := $(BUILD:%/=%)
WORK  := $(if $(filter $(CURDIR)/build,$(abspath $(BUILD))),.,$(BUILD))
LINKS := $(if $(filter-out .,$(WORK)),$(addprefix $(WORK)/,lua ref experiments tests plots Makefile build PAPER_NOTES.md \
         README.md HACKING.md CHANGELOG.md LICENSE))

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
OBJCOPY = $(shell $(CC) -print-prog-name=objcopy)
BLAS_DIR = $(patsubst $(SYSROOT)%,%,$(shell ls -d $(SYSROOT)/usr/lib/$(MACHINE)/openblas-openmp 2>/dev/null))
DNNL = $(if $(wildcard $(SYSROOT)/usr/include/dnnl.h),-ldnnl)

WARN    := -Wall -Wextra $(if $(WERROR),-Werror) -Wpedantic -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes \
           -Wdouble-promotion $(if $(findstring clang,$(CC)),-Wno-double-promotion -Wno-pass-failed \
           -Wno-missing-field-initializers)
# Position-independent, so that the program and the module for a stock Lua are linked from the same objects and give the
# same numbers; hidden names keep calls direct and inlining possible all the same.
COMMON  := -std=c11 -D_GNU_SOURCE -g -fPIC -fvisibility=hidden $(WARN) -Iref -MMD -MP
OPENMP := $(if $(findstring clang,$(CC)),-fopenmp-simd,-fopenmp)
# The reference: no fused multiply-add, no fast math. The fast path says by pragmas where sums may be reordered.
FLAGS_ref  := -O2 -ffp-contract=off
FLAGS_fast = -O3 $(OPENMP) -Wno-psabi -ffp-contract=fast -fno-math-errno -fno-trapping-math \
             $(if $(BLAS_DIR),-I$(SYSROOT)$(BLAS_DIR:/usr/lib/%=/usr/include/%))
FLAGS_lua   = -O2 $(shell $(PKG_CONFIG) --cflags lua5.4 2>/dev/null) -Ilua -I$(BUILD)
FLAGS_test := -O1 -ffp-contract=off -Itests
# Kernels of CUDA, as the processor runs them in tests (tests/cuda), and as nvcc compiles them.
FLAGS_host := -std=c++17 -g -O1 -fPIC -fvisibility=hidden -fno-exceptions -fno-rtti -fno-threadsafe-statics -ffp-contract=off \
              -Wall -Wextra $(if $(WERROR),-Werror) -Wno-unused-function -Iref -Iref/cuda -Itests/cuda -MMD -MP

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
OTHER_THREADS := $(filter-out ref/fast/pool_$(THREADS).c,ref/fast/pool_pthreads.c ref/fast/pool_openmp.c)
PROGRAM := $(wildcard lua/program/*.c)
CUDA  := $(wildcard ref/cuda/*.cu)
IN_MODULE := ref/engine/backend_layout.o ref/engine/k_broadcast.o# what a module takes of the library
ON_HOST := $(CUDA:.cu=.o) $(patsubst %.cpp,%.o,$(wildcard tests/cuda/*.cpp))
MODULE  := lua/bindings/module.c
BINDINGS := $(filter-out $(MODULE),$(wildcard lua/bindings/*.c))
TESTS := $(patsubst tests/%.c,%,$(wildcard tests/test_*.c))
FUZZ_TARGETS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*.c))
TEST_LIB := $(filter-out tests/test_%,$(wildcard tests/*.c))

# gnuplot reads and writes UTF-8, whatever the user's language.
export LC_ALL := C.UTF-8

MAKEFLAGS += -j$(shell nproc) # as many at a time as there are processors

.PHONY: all cuda test-cuda cuda-faults test-cluster demo text figures gallery golden bench bench-peers bench-threads test asan coverage fuzz fuzz-all lint format install uninstall \
        dist dist-test clean help deps
all: $(WORK)/aviary $(BUILD)/f64/aviary $(BUILD)/f32/rwkv/core.so $(BUILD)/f64/rwkv/core.so $(WORK)/compile_commands.json

help:
	@echo 'make            build ./aviary, and the module rwkv for a stock lua5.4'
	@echo 'make demo       train RWKV versions on MQAR and draw the result (SCALE=smoke: in seconds)'
	@echo 'make text       the King James Bible as build/bible.txt, which experiments on text read'
	@echo 'make figures    draw every figure that has data (SCALE=quick, small, paper: compute them first)'
	@echo 'make gallery    one page with all figures, their verdicts and their data: build/gallery/index.html'
	@echo 'make figures CHECK=1  make a part of the data in plots/ again and compare (CHECK="parity hybrids": of these figures)'
	@echo 'make bench      training, decoding, every operation, scaling: tables and plots in runs/bench (SCALE=quick, full)'
	@echo 'make bench-peers  the same training in turn with PyTorch (PYTHON=python3:/other/python3), decoding with'
	@echo '                rwkv.cpp (RWKV_CPP=its library) and llama.cpp (LLAMA_BENCH=its program llama-bench)'
	@echo 'make bench-threads  our own threads in turn with those of OpenMP, on an idle and on a busy machine'
	@echo 'make golden     golden numbers of every version for other implementations, in build/golden: 160 MB'
	@echo 'make cuda       the backend for GPUs, where nvcc is (NVCC=): build/f32/cuda.so, build/f64/cuda.so'
	@echo 'make deps       install the packages that are missing (as root; or say which); demo, test, bench, lint do it, too'
	@echo 'make test       all tests, in float32 and in float64 (T="wkv files": those with such a word in the name)'
	@echo 'make asan       the same under the address, undefined and leak sanitizers'
	@echo 'make cuda-faults  plants faults in its kernels, which tests must find (T="a word of one")'
	@echo 'make test-cuda  what is tried on a real device: every op, training, official numbers, sanitizers; eight minutes'
	@echo 'make test-cluster  programs under mpirun; a sweep under a Slurm of its own on this machine (as root, with slurmctld, slurmd, munge)'
	@echo 'make coverage   the same in float32, counting the lines of C that ran'
	@echo 'make fuzz       random programs and damaged files against the bindings, under the same (SECONDS=60 SEED=)'
	@echo 'make fuzz-NAME  one target of libFuzzer: $(FUZZ_TARGETS) (SECONDS=60)'
	@echo 'make fuzz-all   each of them'
	@echo 'make lint       layering, file sizes, equation tags, variables of Lua (FORMAT_CHECK=1: what make format would change)'
	@echo 'make format     the sources of C as .clang-format has them'
	@echo 'make install    to PREFIX=$(PREFIX), below DESTDIR if it is given; make uninstall removes it'
	@echo 'make dist       one archive that runs on any Linux of this processor, with libraries and golden packs, in build/'
	@echo 'make dist-test  unpacks it into an empty root and runs it there'
	@echo 'make compile_commands.json  for clangd; a plain make does it, too'
	@echo 'make clean      remove build/ and ./aviary; results in runs/ stay'
	@echo 'make THREADS=openmp ..  any of these with OpenMP threads; without it they are our own (aviary help bench.md)'
	@echo 'make BUILD=DIR ..  any of these in DIR instead: ./aviary, tests and runs/ are there, nothing is written here'

# ---- packages ----

# Building installs nothing, it says what is missing. What needs more than a build brings it first.
INSTALLING := deps demo text figures bench bench-peers bench-threads test asan fuzz coverage lint format
READY := $(BUILD)/$(if $(filter $(INSTALLING),$(MAKECMDGOALS)),deps,headers)

# $(call install,PACKAGES) installs what is missing of them. Without root it says what to type.
define install
missing=; if [ -z "$(SYSROOT)" ] && command -v dpkg-query >/dev/null; then for p in $(1); do \
	  dpkg-query -W -f='$${db:Status-Status}' $$p 2>/dev/null | grep -qx installed || missing="$$missing $$p"; \
	  done; fi; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ]; then echo "Installing:$$missing"; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing \
	      >$(BUILD)/apt.log 2>&1 || { tail -5 $(BUILD)/apt.log; exit 1; }; \
	  else echo "Missing packages. As root:  apt-get install --no-install-recommends$$missing"; exit 1; fi; fi
endef

deps: $(BUILD)/deps
$(BUILD)/deps: Makefile
	@mkdir -p $(BUILD)
	@$(call install,$(PACKAGES))
	@touch $@

$(BUILD)/headers: Makefile
	@mkdir -p $(BUILD)
	@for h in $(HEADERS); do \
	  echo "#include <$${h%=*}>" | $(CC) $(FLAGS_fast) $(FLAGS_lua) -E -x c - >/dev/null 2>&1 || { \
	  echo "$${h%=*} is not found (Debian: $${h#*=}). \`make deps\` installs what is missing." >&2; exit 1; }; done
	@touch $@

# ---- trees ----

# Made once, before anything is run. Pictures are drawn beside their data, so plots/ is copied.
$(filter-out %/plots,$(LINKS)): | $(READY)
	@[ $(@F) = build ] && ln -sfn . $@ || ln -sfn $(CURDIR)/$(@F) $@
$(filter %/plots,$(LINKS)): $(wildcard plots/*) | $(READY)
	@cp -r --no-target-directory plots $@ && touch $@

# The commit, with a "+" if what is compiled is not the commit's; and the digests of its files of Lua: whether those that
# are run are the commit's is seen when they are (lua/rwkv/provenance.lua). Run by `make -n` too (+), which otherwise would
# take it for changed, and everything for old.
$(BUILD)/commit.h: FORCE
	+@mkdir -p $(BUILD)
	+@if id=$$(git rev-parse --short=10 HEAD 2>/dev/null) && [ -z "$$(git rev-parse --show-cdup)" ]; then \
	  files=$(BUILD)/commit.$$id; \
	  [ -f $$files ] || { rm -f $(BUILD)/commit.[0-9a-f]*; git archive HEAD '*.lua' | tar -x --to-command=sha256sum | \
	    sed 's/^\(.\{16\}\).*/  "\1", \\/' >$$files; }; \
	  git diff --quiet HEAD -- ref lua/program lua/bindings || id="$$id+"; else id=unknown files=/dev/null; fi; \
	version=$$(sed -n 's/^## \([0-9.]*\).*/\1/p' CHANGELOG.md | head -1); \
	text="$$(printf '#define AVIARY_VERSION "%s"\n#define AVIARY_COMMIT "%s"\n' "$$version" "$$id"; \
	  printf '#define AVIARY_FILES \\\n'; cat $$files; echo '  NULL')"; \
	[ "$$text" = "$$(cat $@ 2>/dev/null)" ] || echo "$$text" >$@
.PHONY: FORCE

# What is compiled with other flags than before is compiled again.
$(BUILD)/flags: FORCE | $(READY)
	+@mkdir -p $(BUILD); text='$(CC) $(FLAGS_host) $(COMMON) $(FLAGS_ref) $(FLAGS_fast) $(FLAGS_lua) $(FLAGS_test) $(SANITIZE)'; \
	[ "$$text" = "$$(cat $@ 2>/dev/null)" ] || echo "$$text" >$@

# With other threads only what has them is linked again.
$(BUILD)/threads: FORCE | $(READY)
	+@mkdir -p $(BUILD); [ '$(THREADS)' = "$$(cat $@ 2>/dev/null)" ] || echo '$(THREADS)' >$@

define tree
OBJ_$(1) := $$(REF:%.c=$(BUILD)/$(1)/%.o) $$(patsubst %.c,$(BUILD)/$(1)/%.o,$$(filter-out $(OTHER_THREADS),$$(FAST)))
$(BUILD)/$(1)/ref/fast/%.o: ref/fast/%.c $(BUILD)/flags
	@mkdir -p $$(@D)
	@echo "cc $(1) $$<"
	@$$(CC) $$(COMMON) $$(FLAGS_fast) $$(TREE_$(1)) -c $$< -o $$@
$(BUILD)/$(1)/ref/%.o: ref/%.c $(BUILD)/flags
	@mkdir -p $$(@D)
	@echo "cc $(1) $$<"
	@$$(CC) $$(COMMON) $$(FLAGS_ref) $$(TREE_$(1)) -c $$< -o $$@
$(BUILD)/$(1)/lua/%.o: lua/%.c $(BUILD)/flags | $(BUILD)/commit.h
	@mkdir -p $$(@D)
	@echo "cc $(1) $$<"
	@$$(CC) $$(COMMON) $$(FLAGS_lua) $$(TREE_$(1)) -c $$< -o $$@
$(BUILD)/$(1)/tests/%.o: tests/%.c $(BUILD)/flags
	@mkdir -p $$(@D)
	@echo "cc $(1) $$<"
	@$$(CC) $$(COMMON) $$(FLAGS_test) $$(TREE_$(1)) -c $$< -o $$@
$(BUILD)/$(1)/librwkv.a: $$(OBJ_$(1)) $(BUILD)/threads
	@rm -f $$@
	@$$(AR) rcs $$@ $$(filter %.o,$$^)
# With each kind of threads: what stands before the library is not taken from it.
$(THREADING:%=$(BUILD)/$(1)/aviary.%): $(BUILD)/$(1)/aviary.%: $(BUILD)/$(1)/ref/fast/pool_%.o \
        $$(patsubst %.c,$(BUILD)/$(1)/%.o,$$(PROGRAM) $$(BINDINGS)) $(BUILD)/$(1)/librwkv.a
	@echo "link $$@"
	@$$(CC) $$(TREE_$(1)) $$^ $$(LIBS_lua) $$(LIBS) -o $$@
$(THREADING:%=$(BUILD)/$(1)/tests/test_pool_%): $(BUILD)/$(1)/tests/test_%: $(BUILD)/$(1)/ref/fast/%.o
$(BUILD)/$(1)/aviary: $$(patsubst %.c,$(BUILD)/$(1)/%.o,$$(PROGRAM) $$(BINDINGS)) $(BUILD)/$(1)/librwkv.a
	@echo "link $$@"
	@$$(CC) $$(TREE_$(1)) $$^ $$(LIBS_lua) $$(LIBS) -o $$@
$(BUILD)/torn_$(1)/lua/program/sandbox.o: lua/program/sandbox.c $(BUILD)/flags
	@mkdir -p $$(@D)
	@echo "cc torn_$(1) $$<"
	@$$(CC) $$(COMMON) $$(FLAGS_lua) $$(TREE_$(1)) -DAVIARY_NO_INNER_WALL -c $$< -o $$@
$(BUILD)/torn_$(1)/aviary: $(BUILD)/torn_$(1)/lua/program/sandbox.o $$(patsubst %.c,$(BUILD)/$(1)/%.o,$$(filter-out \
                        lua/program/sandbox.c,$$(PROGRAM)) $$(BINDINGS)) $(BUILD)/$(1)/librwkv.a
	@echo "link $$@"
	@$$(CC) $$(TREE_$(1)) $$^ $$(LIBS_lua) $$(LIBS) -o $$@
$(BUILD)/$(1)/tests/escape.so: tests/lua/lib/escape.c $(BUILD)/flags
	@mkdir -p $$(@D)
	@echo "link $$@"
	@$$(CC) -shared $$(COMMON) $$(FLAGS_lua) $$(filter-out --coverage,$$(TREE_$(1))) $$< -o $$@
$(BUILD)/$(1)/tests/far.so: tests/module/far_module.c tests/far.c $(BUILD)/$(1)/librwkv.a $(BUILD)/flags
	@mkdir -p $$(@D)
	@echo "link $$@"
	@$$(CC) -shared $$(COMMON) $$(FLAGS_test) $$(TREE_$(1)) tests/module/far_module.c tests/far.c $(BUILD)/$(1)/librwkv.a $$(LIBS) -o $$@
$(BUILD)/$(1)/ref/cuda/%.o: ref/cuda/%.cu $(BUILD)/flags
	@mkdir -p $$(@D)
	@echo "c++ $(1) $$<"
	@$$(CXX) $$(FLAGS_host) $$(filter-out --coverage,$$(TREE_$(1))) -x c++ -c $$< -o $$@
$(BUILD)/$(1)/tests/cuda/%.o: tests/cuda/%.cpp $(BUILD)/flags
	@mkdir -p $$(@D)
	@echo "c++ $(1) $$<"
	@$$(CXX) $$(FLAGS_host) $$(filter-out --coverage,$$(TREE_$(1))) -c $$< -o $$@
$(BUILD)/$(1)/tests/on_host.so: $$(ON_HOST:%=$(BUILD)/$(1)/%) $$(IN_MODULE:%=$(BUILD)/$(1)/%)
	@echo "link $$@"
	@$$(CC) -shared $$(TREE_$(1)) $$^ -lm $$(if $$(findstring -fsanitize,$$(TREE_$(1))),,-Wl,-z,defs) -o $$@
$(patsubst %,$(BUILD)/$(1)/tests/%,$(filter test_cuda%,$(TESTS))): $$(ON_HOST:%=$(BUILD)/$(1)/%)
# Another Lua lacks functions of 5.4: weak, they keep it from opening the module no more, and the module says so itself.
$(BUILD)/$(1)/rwkv/core.o: $$(patsubst %.c,$(BUILD)/$(1)/%.o,$$(MODULE) $$(BINDINGS))
	@mkdir -p $$(@D)
	@$$(CC) -r -nostdlib $$^ -o $$@ && $$(OBJCOPY) --wildcard --weaken-symbol='lua*' $$@
$(BUILD)/$(1)/rwkv/core.so: $(BUILD)/$(1)/rwkv/core.o $(BUILD)/$(1)/librwkv.a
	@echo "link $$@"
	@$$(CC) -shared $$(TREE_$(1)) $$^ $$(LIBS) $$(LINK_module) -o $$@
$(BUILD)/$(1)/tests/test_%: $(BUILD)/$(1)/tests/test_%.o $$(TEST_LIB:%.c=$(BUILD)/$(1)/%.o) $(BUILD)/$(1)/librwkv.a
	@echo "link $$@"
	@$$(CC) $$(TREE_$(1)) $$(filter %.o,$$^) $$(filter %.a,$$^) -lcmocka $$(LIBS) -o $$@
-include $$(wildcard $(BUILD)/$(1)/*/*.d $(BUILD)/$(1)/*/*/*.d $(BUILD)/torn_$(1)/*/*/*.d)
endef
$(foreach t,$(TREES),$(eval $(call tree,$(t))))
# Objects that no rule names stay, too; not all files, or FORCE would be one of them, and force nothing.
.SECONDARY: $(foreach t,$(TREES),$(TESTS:%=$(BUILD)/$(t)/tests/%.o)) $(FUZZ_TARGETS:%=$(BUILD)/fuzz/tests/fuzz/%.o)

$(foreach t,$(TREES),$(BUILD)/$(t)/lua/bindings/commit.o $(BUILD)/$(t)/lua/program/version.o): $(BUILD)/commit.h

# How every file is compiled, for clangd and the like. A directory is newer when a file was added to it.
SOURCES := $(REF) $(FAST) $(PROGRAM) $(MODULE) $(BINDINGS) $(wildcard tests/*.c)
$(WORK)/compile_commands.json: $(BUILD)/flags $(sort $(dir $(SOURCES)))
	@add() { flags=$$1; shift; for f in "$$@"; do printf "$$then"'\n{"directory": "%s", "file": "%s", "command": "%s"}' \
	  '$(CURDIR)' "$$f" "$(CC) $(COMMON) $$flags -c $$f"; then=,; done; }; \
	{ printf '['; add '$(FLAGS_ref)' $(REF); add '$(FLAGS_fast)' $(FAST); add '$(FLAGS_lua)' $(PROGRAM) $(MODULE) $(BINDINGS); \
	  add '$(FLAGS_test)' $(wildcard tests/*.c); printf '\n]\n'; } >$@

# ---- the device ----

# The backend for devices of CUDA, where nvcc is: a module for each precision, opened while the program runs. For sm_80
# and sm_90, and as PTX for later ones. What each kernel takes is printed; one that spills registers is a mistake.
FLAGS_cuda := $(shell cat ref/cuda/flags) -Iref -Iref/cuda
define cuda
$(BUILD)/cuda/$(1)/%.o: ref/cuda/%.cu ref/cuda/flags $(BUILD)/flags
	@mkdir -p $$(@D)
	@echo "nvcc $(1) $$<"
	@$$(NVCC) $$(FLAGS_cuda) $$(TREE_$(1)) -MMD -MP -c $$< -o $$@ 2>$$@.ptxas || { cat $$@.ptxas >&2; rm -f $$@; exit 1; }
$(BUILD)/$(1)/cuda.so: $$(CUDA:ref/cuda/%.cu=$(BUILD)/cuda/$(1)/%.o) $$(IN_MODULE:%=$(BUILD)/$(1)/%)
	@echo "link $$@"
	@$$(NVCC) -shared $$^ -lcublas -Xlinker -zdefs -Xlinker -rpath=$$(abspath $$(dir $$(shell command -v $$(NVCC)))../lib64) -o $$@
-include $$(wildcard $(BUILD)/cuda/$(1)/*.d)
endef
$(foreach t,f32 f64,$(eval $(call cuda,$(t))))

cuda: $(BUILD)/f32/cuda.so $(BUILD)/f64/cuda.so
	@LC_ALL=C sh ref/cuda/resources.sh $(BUILD)/cuda

$(WORK)/aviary: $(BUILD)/f32/aviary | $(LINKS)
	@cp $(BUILD)/f32/aviary $@.new && mv $@.new $@

# ---- what people ask for ----

# Those whose names contain one of the words of T, or all.
named = $(if $(T),$(foreach t,$(1),$(if $(strip $(foreach w,$(T),$(findstring $(w),$(t)))),$(t))),$(1))
tests_in = $(patsubst %,$(BUILD)/$(1)/tests/%,$(call named,$(TESTS))) $(BUILD)/$(1)/aviary $(BUILD)/torn_$(1)/aviary \
           $(THREADING:%=$(BUILD)/$(1)/aviary.%) \
           $(BUILD)/$(1)/tests/escape.so $(BUILD)/$(1)/tests/far.so $(BUILD)/$(1)/tests/on_host.so

test: all $(foreach t,$(TEST_TREES),$(call tests_in,$(t)))
	@cd $(WORK) && T='$(T)' sh tests/run.sh $(TEST_TREES:%=build/%)

asan: $(call tests_in,asan32) $(call tests_in,asan64) | $(LINKS)
	@cd $(WORK) && T='$(T)' sh tests/run.sh build/asan32 build/asan64

coverage: all $(call tests_in,cov)
	@find $(BUILD)/cov -name '*.gcda' -delete
	@(cd $(WORK) && T='$(T)' sh tests/run.sh build/cov); status=$$?; sh tests/coverage.sh $(BUILD)/cov; exit $$status

# A planted fault in a kernel of the device is found by the tests.
cuda-faults: $(BUILD)/f32/tests/test_cuda
	@T='$(T)' CXX='$(CXX)' FLAGS='$(FLAGS_host)' CC='$(CC)' LIBS='-lcmocka $(LIBS)' \
	  OBJECTS='$(addprefix $(BUILD)/f32/,tests/test_cuda.o $(TEST_LIB:%.c=%.o) $(ON_HOST) librwkv.a)' \
	  sh tests/cuda/faults.sh $(BUILD)/f32

# On a real device; without one, or without nvcc, it says so.
test-cuda: all $(foreach t,f32 f64,$(BUILD)/$(t)/tests/test_cuda $(BUILD)/$(t)/tests/test_cuda_train \
                $(if $(filter test-cuda,$(MAKECMDGOALS)),$(if $(shell command -v $(NVCC)),$(BUILD)/$(t)/cuda.so)))
	@cd $(WORK) && sh tests/test-cuda.sh build

# In the place of NCCL, where the processor plays the devices.
$(BUILD)/nccl/libnccl.so.2: tests/cuda/nccl_on_host.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "link $@"
	@$(CC) -shared $(COMMON) $(FLAGS_test) $< -o $@

# Under MPI, and with a Slurm of its own on this machine; where there can be none, it says why.
test-cluster: $(WORK)/aviary $(BUILD)/f64/aviary $(BUILD)/f32/tests/on_host.so $(BUILD)/f64/tests/on_host.so $(BUILD)/nccl/libnccl.so.2
	@cd $(WORK) && ./aviary --trust tests/cluster/test_mpi.lua && build/f64/aviary --trust tests/cluster/test_mpi.lua
	@cd $(WORK) && sh tests/cluster/with_slurm.sh build/slurm ./aviary --trust tests/cluster/test_slurm.lua; status=$$?; \
	  [ $$status != 77 ] || { echo 'SKIPPED: tests/cluster/test_slurm.lua'; exit 0; }; exit $$status

fuzz: $(BUILD)/asan32/aviary $(BUILD)/asan64/aviary | $(LINKS)
	@cd $(WORK) && sh tests/fuzz.sh $(SECONDS) $(SEED) build/asan32 build/asan64

# One target of libFuzzer: tests/fuzz/NAME.c, which begins with the files that NAME.lua writes. It needs clang. libFuzzer
# follows what the library does, not what the target does.
FUZZ_FLAGS := -O2 -Wno-double-promotion -Wno-pass-failed -Wno-missing-field-initializers -DAVIARY_POISON -DARENA_BLOCK=16384 \
              -fno-omit-frame-pointer -fno-sanitize-recover=undefined -Itests
FUZZ_SANITIZE := address,undefined
$(BUILD)/fuzz/tests/%.o: FUZZ_FOLLOW :=
$(BUILD)/fuzz/%.o: FUZZ_FOLLOW := ,fuzzer-no-link
$(BUILD)/fuzz/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "cc fuzz $<"
	@clang $(COMMON) $(FUZZ_FLAGS) -fsanitize=$(FUZZ_SANITIZE)$(FUZZ_FOLLOW) -c $< -o $@
$(BUILD)/fuzz/librwkv.a: $(REF:%.c=$(BUILD)/fuzz/%.o)
	@rm -f $@
	@$(AR) rcs $@ $^
$(BUILD)/fuzz/%: $(BUILD)/fuzz/tests/fuzz/%.o $(BUILD)/fuzz/librwkv.a
	@echo "link $@"
	@clang -fsanitize=$(FUZZ_SANITIZE),fuzzer -Wl,--wrap=mmap,--wrap=munmap $^ $(LIBS) -o $@
.PRECIOUS: $(BUILD)/fuzz/%
fuzz-%: $(BUILD)/fuzz/% $(WORK)/aviary
	@cd $(WORK) && sh tests/fuzz/run.sh $* $(SECONDS)
fuzz-all: $(FUZZ_TARGETS:%=fuzz-%)
-include $(wildcard $(BUILD)/fuzz/*/*.d $(BUILD)/fuzz/*/*/*.d)

# Debian 12's clang-format; another one has other ideas.
format:
	@$(call install,clang-format)
	@clang-format -i $(wildcard $(addsuffix /*.[ch],ref ref/* lua/* tests tests/fuzz tests/module tests/lua/lib) \
	  ref/cuda/*.cu tests/cuda/*.cpp tests/cuda/*.h)

lint: $(BUILD)/deps $(BUILD)/f32/librwkv.a $(OTHER_THREADS:%.c=$(BUILD)/f32/%.o) # luac; who calls whom
	@BUILD='$(BUILD)' sh tests/lint.sh

# What a table has in its name when SCALE is not the usual one.
CHOSEN := $(if $(filter-out small,$(SCALE)),.$(SCALE))

demo: all
	@cd $(WORK) && ./aviary experiments/mqar_demo.lua --scale $(or $(SCALE),small) && \
	  gnuplot -e "out='runs/mqar_demo/mqar_demo$(CHOSEN)'" plots/mqar_demo.gp
	@echo "The picture: $(abspath $(WORK))/runs/mqar_demo/mqar_demo$(CHOSEN).png (and .svg); the numbers: mqar_demo$(CHOSEN).tsv beside it"

text: $(BUILD)/bible.txt

# Each book: its name, a verse a line, an empty line.
$(BUILD)/bible.txt:
	@mkdir -p $(BUILD)
	@$(call install,$(TEXT_PACKAGES))
	@bible -l99999 gen1:1-rev22:21 | awk ' \
	  /^ +[0-9]+ / {sub(/^ +[0-9]+ /, ""); print; verses++; next} \
	  NF {sub(/ [0-9]+$$/, ""); if ($$0 != book) {if (book) print ""; book = $$0; print book}} \
	  END {if (verses != 31102) {print "bible: found " verses " verses, expected 31102" >"/dev/stderr"; exit 1}}' >$@.new
	@mv $@.new $@
	@echo "The text: $@, $$(wc -c <$@) bytes"

# The figures of the papers, one experiment each, each with a plots/NAME.gp. With SCALE they are computed first; then all
# that have data are drawn, where it lies: below runs/, or else in plots/, which holds the data of the small scale.
FIGURES := mqar_versions mqar_state mqar_goose mqar_decay mqar_gating mqar_init causal_trace mad \
           state_tracking parity expressivity listops hybrids \
           longctx_loss longctx_rise longctx_recall \
           loss_by_version small_init init_ablation ddlerp v7_ablation v7_history port_gap first_token \
           decay_spectrum position_curves parameter_stats state_norm wkv_stability speed_memory generation_cost

ifeq ($(CHECK),)
figures: all $(if $(SCALE),text)
	@cd $(WORK) && for f in $(if $(SCALE),$(FIGURES)); do echo "== $$f"; \
	  ./aviary experiments/$$f.lua --scale $(SCALE) --jobs $(shell nproc) || exit 1; done
	@cd $(WORK) && for f in $(FIGURES); do for out in runs/$$f/$$f$(CHOSEN) plots/$$f; do if [ -f $$out.figure.tsv ]; then \
	  gnuplot -e "out='$$out'" plots/$$f.gp || exit 1; echo "$(abspath $(WORK))/$$out.png"; break; fi; done; done
else
# Whether the data in plots/ is what the scripts make now: of all of them, or of those that CHECK names.
figures: all text
	@$(if $(SCALE),echo 'make figures: SCALE=$(SCALE) makes data and CHECK=$(CHECK) compares what is there: give one of them' >&2; exit 1)
	@cd $(WORK) && sh plots/check.sh $(shell nproc) $(if $(filter 1,$(CHECK)),mqar_demo $(FIGURES),$(CHECK))
endif

# One page with all of them, and beside it what it links to.
gallery: $(WORK)/aviary
	@cd $(WORK) && rm -rf build/gallery && ./aviary --output build/gallery plots/gallery.lua plots/*.png >/dev/null
	@echo "The page: $(abspath $(BUILD))/gallery/index.html"

PACKS := v1 v2 v3 v4 v5.0 v5.1 v5.2 v6 v7
# The standard pack of each version; small/: the same to be read; deep/: eight small layers.
golden: all
	@mkdir -p $(BUILD)/golden/small $(BUILD)/golden/deep
	@cd $(WORK) && for v in $(PACKS); do \
	  ./aviary golden make $$v --standard build/golden/$$v.safetensors && \
	  ./aviary golden make $$v build/golden/small/$$v.safetensors && \
	  ./aviary golden make $$v --layers 8 --batch 2 build/golden/deep/$$v.safetensors || exit 1; done

# The tables, and a picture of each that is there.
bench: all $(BUILD)/f32/tests/test_fast
	@cd $(WORK) && ./aviary bench all --scale $(or $(SCALE),quick) --out $(BENCH)
	@cd $(WORK) && for t in bench_train bench_scaling bench_decode; do [ ! -f $(BENCH)/$$t.tsv ] || \
	  gnuplot -e "out='$(BENCH)/$$t'" plots/$$t.gp || exit 1; done
	@echo "Tables and pictures: $(BENCH)"

bench-peers: all
	@cd $(WORK) && ./aviary bench peers --scale $(or $(SCALE),quick) --python '$(PYTHON)' --out $(BENCH)
	@cd $(WORK) && gnuplot -e "out='$(BENCH)/bench_peers'" plots/bench_peers.gp
	@echo "Table and picture: $(BENCH)/bench_peers.tsv, .png"

# With each kind of threads, whatever THREADS is.
bench-threads: all $(THREADING:%=$(BUILD)/f32/aviary.%)
	@cd $(WORK) && ./aviary bench threads --scale $(or $(SCALE),quick) --out $(BENCH)
	@echo "Table: $(BENCH)/bench_threads.tsv"

# What `help` and errors name is there after it, too: pages, notes, experiments.
TO := $(DESTDIR)$(PREFIX)
install: all
	rm -rf $(TO)/libexec/aviary $(TO)/share/aviary $(TO)/share/lua/5.4/rwkv
	install -d $(TO)/bin $(TO)/libexec/aviary $(TO)/share/aviary/lua/dist $(TO)/share/lua/5.4 $(TO)/lib/lua/5.4/rwkv
	install $(WORK)/aviary $(TO)/bin/aviary
	install $(BUILD)/f64/aviary $(TO)/libexec/aviary/aviary64
	for t in f32/cuda.so=cuda.so f64/cuda.so=cuda64.so; do [ ! -f $(BUILD)/$${t%=*} ] || \
	  install -m 644 $(BUILD)/$${t%=*} $(TO)/libexec/aviary/$${t#*=} || exit 1; done
	install -m 644 $(BUILD)/f32/rwkv/core.so $(TO)/lib/lua/5.4/rwkv/core.so
	cp -r lua/rwkv lua/commands lua/pages $(TO)/share/aviary/lua
	cp lua/dist/golden.workflow.yml $(TO)/share/aviary/lua/dist
	cp -r experiments plots ref PAPER_NOTES.md README.md CHANGELOG.md HACKING.md LICENSE $(TO)/share/aviary
	cp -r lua/rwkv $(TO)/share/lua/5.4
	cp -r lua/pages $(TO)/share/lua/5.4/rwkv
	cp PAPER_NOTES.md $(TO)/share/lua/5.4/rwkv/pages
	chmod -R u=rwX,go=rX $(TO)/share/aviary $(TO)/share/lua/5.4/rwkv

uninstall:
	rm -rf $(TO)/bin/aviary $(TO)/libexec/aviary $(TO)/share/aviary $(TO)/share/lua/5.4/rwkv $(TO)/lib/lua/5.4/rwkv
	-rmdir -p --ignore-fail-on-non-empty $(TO)/libexec $(TO)/share/lua/5.4 $(TO)/lib/lua/5.4 2>/dev/null

# What is installed, its libraries, a launcher that starts it with them, and the golden packs.
VERSION = $(shell sed -n 's/.*AVIARY_VERSION "\(.*\)"/\1/p' $(BUILD)/commit.h)
DIST = $(BUILD)/aviary-$(VERSION)-$(MACHINE:%-gnu=%)
$(BUILD)/launcher: lua/dist/launcher.c $(BUILD)/flags
	@echo "link $@"
	@$(CC) -std=c11 -D_GNU_SOURCE -Os -s -static $(WARN) $< -o $@

dist: all golden $(BUILD)/launcher $(foreach t,f32 f64,$(BUILD)/$(t)/tests/test_cuda $(BUILD)/$(t)/tests/test_cuda_train)
	@[ -z '$(SYSROOT)' ] || { echo 'make dist: SYSROOT is given, and only programs of this machine name their libraries' >&2; exit 1; }
	@rm -rf $(DIST)
	@MAKEFLAGS= $(MAKE) -s -o all install BUILD='$(BUILD)' DESTDIR=$(abspath $(DIST)) PREFIX=
	@echo "pack $(DIST).tar.gz"
	@sh lua/dist/archive.sh $(DIST) $(BUILD)/launcher $(BUILD) $(PACKS:%=$(BUILD)/golden/small/%.safetensors)
	@echo "The archive: $(abspath $(DIST)).tar.gz, $$(du -h $(DIST).tar.gz | cut -f 1)"

dist-test: dist
	@sh tests/dist.sh $(DIST).tar.gz

clean:
	rm -rf $(BUILD) aviary compile_commands.json
