pluginManagement {
    repositories {
        google()
        mavenCentral()
        gradlePluginPortal()
    }
}

dependencyResolutionManagement {
    repositoriesMode = RepositoriesMode.FAIL_ON_PROJECT_REPOS
    repositories {
        google()
        mavenCentral()
    }
}

rootProject.name = "chord-android-demo"

include(":chord-android", ":app")

// Each brings a dependency of its own, and is built only when something asks for it.
for (name in listOf("bouncycastle", "litert", "executorch")) {
    include(":chord-android-$name")
    project(":chord-android-$name").projectDir = file("chord-android/src/$name")
}
