package io.chordkit.release;

import io.chordkit.annotation.Nullable;
import java.io.IOException;
import java.io.InputStream;

/** A place that has a channel's files; nothing that it gives is believed before it is verified. */
public interface Mirror {
  /**
   * Begins to read a file.
   *
   * @param path below the channel's folder, with slashes: {@code metadata/timestamp.json}
   * @param most bytes that are read of it; a longer file may be refused here already
   * @return null = it has no such file; whoever asked closes it
   * @throws IOException it cannot be reached
   */
  @Nullable
  InputStream fetch(String path, long most) throws IOException;
}
