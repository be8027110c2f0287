/** A bundle's `.pte` artifacts on ExecuTorch (`org.pytorch:executorch-android`). */
@NonNullByDefault
package io.chordkit.executorch;

import io.chordkit.annotation.NonNullByDefault;
