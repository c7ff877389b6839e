namespace MicroVm;

/// <summary>How much memory a guest has, from where.</summary>
/// <param name="BootBytes">What it started with.</param>
/// <param name="PresentBytes">What it has now, of whatever kind; what a balloon holds is counted.</param>
/// <param name="MemSizeBytes">virtio-mem: most that it can have; 0 without one.</param>
/// <param name="MemRequestedBytes">virtio-mem: what it should have.</param>
/// <param name="MemPluggedBytes">virtio-mem: what it has.</param>
/// <param name="DimmMaxBytes">DIMMs: most that it can have of them; 0 where none can come.</param>
/// <param name="DimmBytes">DIMMs: what it has.</param>
public sealed record MemoryInfo(ulong BootBytes, ulong PresentBytes, ulong MemSizeBytes, ulong MemRequestedBytes, ulong MemPluggedBytes, ulong DimmMaxBytes, ulong DimmBytes);
