plugins {
    alias(libs.plugins.android.application) apply false
    alias(libs.plugins.android.library) apply false
}

// The version has one place in the repository.
val declared = providers.fileContents(layout.projectDirectory.file("../chordkit/__init__.py")).asText.get()
val chordVersion = Regex("__version__ = \"(.+)\"").find(declared)!!.groupValues[1]

subprojects {
    group = "io.chordkit"
    version = chordVersion
}
