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

    // Every library, under its project's name; `gradle publish` puts them where `make aar` does.
    pluginManager.withPlugin("maven-publish") {
        extensions.configure<PublishingExtension> {
            publications.register<MavenPublication>("release") {
                pom {
                    licenses {
                        license {
                            name = "Apache-2.0"
                            url = "https://www.apache.org/licenses/LICENSE-2.0.txt"
                        }
                    }
                }
                afterEvaluate { from(components["release"]) }
            }
            repositories.maven {
                name = "folder"
                url = uri(rootProject.layout.projectDirectory.dir("../build/android/maven"))
            }
        }
    }
}
