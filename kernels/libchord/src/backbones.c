#include "internal.h"

#define CHORD_BACKBONE(name) extern const chord_backbone chord_backbone_##name;
#include "backbones.inc"
#undef CHORD_BACKBONE

static const chord_backbone *const backbones[] = {
#define CHORD_BACKBONE(name) &chord_backbone_##name,
#include "backbones.inc"
#undef CHORD_BACKBONE
};

enum { BACKBONES = sizeof backbones / sizeof *backbones };

const chord_backbone *chord_backbone_at(uint32_t index) { return index < BACKBONES ? backbones[index] : NULL; }

const char *chord_backbone_name(uint32_t index) { return index < BACKBONES ? backbones[index]->name : NULL; }
