# The small world: training the bundled models and scoring methods on them.
#   make world                every bundled model, from nothing (hours on two cores; resumable)
#   make world-NAME           one model and its card: vit vit-registers vit-sinks swin clip lvlm lvlm-tuned
#   make world WORLD_SEED=1 WORLD_MODELS=.cache/seed-1     a second seed, kept beside the shipped models
#   make world-seeds          writes that seed's figures onto the cards of the shipped models
#   make trust, trust-full    the trust benchmark: docs/trust.md and assets/trust.parquet

WORLD_WORK ?= .cache/world
WORLD_SEED ?= 0
WORLD_MODELS ?= assets/models
WORLD_SECOND ?= .cache/seed-1
WORLD_OPTIONS = --work $(WORLD_WORK) --seed $(WORLD_SEED)
# One thread per process; the memory settings keep freed memory, without them training takes twice as long.
WORLD_RUN = OMP_NUM_THREADS=1 MALLOC_ARENA_MAX=2 MALLOC_TOP_PAD_=268435456 \
  MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=17179869184 $(PYTHON) -m
WORLD_TOWER = $(WORLD_WORK)/tower-$(WORLD_SEED).done

.PHONY: world world-vit world-vit-registers world-vit-sinks world-swin world-clip world-lvlm world-lvlm-tuned
.PHONY: world-seeds trust trust-full

world: world-vit world-vit-registers world-vit-sinks world-swin world-clip world-lvlm world-lvlm-tuned

# A training that was interrupted goes on from its last checkpoint; one that is finished is not repeated.
$(WORLD_WORK)/tower-%.done: | setup
	$(WORLD_RUN) world.training.run_vision tower $(WORLD_OPTIONS)
	touch $@

$(WORLD_WORK)/vit-%.done: $(WORLD_TOWER)
	$(WORLD_RUN) world.training.run_vision vit $(WORLD_OPTIONS)
	touch $@

# The second half sees twice as many pictures at a time, and the rate starts again from half: yes and no are learnt there.
$(WORLD_WORK)/lvlm-%.done: $(WORLD_TOWER)
	$(WORLD_RUN) world.training.run_language lvlm $(WORLD_OPTIONS)
	$(WORLD_RUN) world.training.run_language lvlm $(WORLD_OPTIONS) --steps 6400 --batch 16
	touch $@

define ship
	$(WORLD_RUN) world.training.shipping $(1) $(WORLD_OPTIONS) --models $(WORLD_MODELS)
	$(WORLD_RUN) world.evaluation.cards $(1) --models $(WORLD_MODELS)
endef

world-vit: $(WORLD_WORK)/vit-$(WORLD_SEED).done
	$(call ship,vit)

world-vit-registers world-vit-sinks: world-%: $(WORLD_WORK)/vit-$(WORLD_SEED).done
	$(WORLD_RUN) world.training.run_vision $* $(WORLD_OPTIONS)
	$(call ship,$*)

world-swin: | setup
	$(WORLD_RUN) world.training.run_vision swin $(WORLD_OPTIONS)
	$(call ship,swin)

world-clip: $(WORLD_TOWER)
	$(WORLD_RUN) world.training.run_language clip $(WORLD_OPTIONS)
	$(call ship,clip)

world-lvlm: $(WORLD_WORK)/lvlm-$(WORLD_SEED).done
	$(call ship,lvlm)

world-lvlm-tuned: $(WORLD_WORK)/lvlm-$(WORLD_SEED).done
	$(WORLD_RUN) world.training.run_language lvlm-tuned $(WORLD_OPTIONS)
	$(call ship,lvlm-tuned)

world-seeds: | setup
	$(WORLD_RUN) world.evaluation.second_seed --models $(WORLD_MODELS) --second $(WORLD_SECOND)

trust: | setup
	$(WORLD_RUN) world.trust

trust-full: | setup
	$(WORLD_RUN) world.trust --full
