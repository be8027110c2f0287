package io.chordkit.release;

/** A file that makes a release's bundle of one that the phone has. */
public final class Difference {
  private final String base;
  private final String result;
  private final TargetFile file;

  Difference(Fields fields, TargetFile file) throws ReleaseException {
    Fields difference = fields.only("difference").object("difference").only("base", "result", "release");
    this.file = file.named(TargetFile.DIFFERENCE, fields);
    this.base = difference.text("base", Fields.DIGEST);
    this.result = difference.text("result", Fields.DIGEST);
    difference.whole("release", 1, CanonicalJson.LARGEST);
  }

  /** SHA-256 of the bundle that it starts from. */
  public String base() {
    return base;
  }

  /** SHA-256 of the bundle that it makes. */
  public String result() {
    return result;
  }

  public TargetFile file() {
    return file;
  }
}
