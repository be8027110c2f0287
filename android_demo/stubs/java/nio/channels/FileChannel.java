package java.nio.channels;

import java.io.IOException;
import java.nio.file.OpenOption;
import java.nio.file.Path;

public abstract class FileChannel {
  /** API 26. */
  public static native FileChannel open(Path path, OpenOption... options) throws IOException;
}
