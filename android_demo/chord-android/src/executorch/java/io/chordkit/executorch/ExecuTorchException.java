package io.chordkit.executorch;

import io.chordkit.ChordException;
import io.chordkit.annotation.Nullable;

/** ExecuTorch cannot run an artifact. */
public final class ExecuTorchException extends ChordException {
  private static final long serialVersionUID = 1;

  ExecuTorchException(String sentence, @Nullable Exception cause) {
    super(cause == null ? sentence : sentence + ": " + cause.getMessage());
    initCause(cause);
  }
}
