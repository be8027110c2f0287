package io.chordkit;

import org.junit.After;
import org.junit.Before;

/** A test with the bundle of the SASRec shop, and an engine of its own. */
abstract class WithEngine {
  Bundle bundle;
  Engine engine;

  @Before
  public void open() throws Exception {
    bundle = Shop.bundle("sasrec");
    engine = bundle.engine();
  }

  @After
  public void close() {
    engine.close();
  }
}
