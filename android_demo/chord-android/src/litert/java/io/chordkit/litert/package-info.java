/** A bundle's `.tflite` artifacts on LiteRT (`com.google.ai.edge.litert:litert`). */
@NonNullByDefault
package io.chordkit.litert;

import io.chordkit.annotation.NonNullByDefault;
