/** Which values may be null, for Kotlin and for tools. */
package io.chordkit.annotation;
