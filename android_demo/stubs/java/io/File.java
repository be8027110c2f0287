package java.io;

import java.nio.file.Path;

public class File {
  /** API 26. */
  public native Path toPath();
}
