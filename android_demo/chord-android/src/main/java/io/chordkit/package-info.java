/** Reranks on the phone: a verified bundle, the native engine, strategies, and what an app keeps of them. */
@NonNullByDefault
package io.chordkit;

import io.chordkit.annotation.NonNullByDefault;
