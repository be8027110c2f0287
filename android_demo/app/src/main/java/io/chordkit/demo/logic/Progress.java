package io.chordkit.demo.logic;

/** Told how far something long has come. */
public interface Progress {
  /** Does nothing. */
  Progress SILENT =
      new Progress() {
        @Override
        public void at(int done, int total) {}
      };

  void at(int done, int total);
}
