namespace MicroVm.Diagnostics;

/// <summary>Programs of others that some flags start or work with. No machine needs them.</summary>
internal static class ProgramProbes
{
    private const string Group = "Optional programs";

    internal static readonly DoctorProbe[] All =
    [
        Program("passt", "networking without rights (--net passt)", "passt"),
        Program("virtiofsd", "folders of the host (--fs)", "virtiofsd, or qemu-system-common before Debian 13"),
        Program("qemu-storage-daemon", "qcow2 images (--disk vhost-user=SOCKET)", "qemu-system-common or qemu-utils"),
        Program("iasl", "ACPI tables as text (microvm explain --aml)", "acpica-tools"),
    ];

    private static DoctorProbe Program(string name, string meaning, string package) =>
        new(name, Group, Needed: false, host =>
        host.FindProgram(name) is { } path ? DoctorFinding.Ok($"{path}: {meaning}", path)
            : DoctorFinding.Missing($"not found: {meaning}", $"Install it if you want that (Debian: {package})"));
}
