"""RSRefSeg 2 (Chen et al., github.com/KyanChen/RSRefSeg2): CLIP -> CascadedPrompter -> SAM 2, or SAM."""
