package io.chordkit.demo;

import android.app.Activity;
import android.os.Bundle;
import android.widget.TextView;
import io.chordkit.trust.TrustedKeys;

/** The least that uses an app's resources and the library. */
public final class MainActivity extends Activity {
  @Override
  protected void onCreate(Bundle saved) {
    super.onCreate(saved);
    setContentView(R.layout.main);
    TextView words = (TextView) findViewById(R.id.words);
    words.setText(TrustedKeys.class.getName());
  }
}
