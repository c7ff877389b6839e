using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Memory;
using MicroVm.Virtio;
using MicroVm.Virtio.VhostUser;

namespace MicroVm.Tests.Virtio.VhostUser;

/// <summary>A device of a backend, and a driver for it, with memory that can be shared.</summary>
internal sealed class VhostUserGuest : IDisposable
{
    internal const int Patience = 400;
    /// <summary>Where memory that comes later begins.</summary>
    internal const ulong High = 0x1_0000_0000;

    private readonly GuestMemory _memory = GuestMemory.Allocate(GuestDriver.Ram, 0xc000_0000, High, 16UL << 30, shared: true);
    private readonly OutputPump _log;
    private readonly string _logFile = System.IO.Path.GetTempFileName();
    private readonly Microsoft.Win32.SafeHandles.SafeFileHandle _logHandle;

    internal VhostUserGuest(TestBackend backend, bool disk = false, bool start = true, Func<OutputPump, VirtioDevice>? open = null)
    {
        _logHandle = File.OpenHandle(_logFile, FileMode.Append, FileAccess.Write, FileShare.ReadWrite);
        _log = new OutputPump((int)_logHandle.DangerousGetHandle(), "log", 1 << 14);
        try
        {
            Device = open is not null ? open(_log) : disk ? VhostUserBlockDevice.Open(new DiskOptions(backend.Path) { VhostUser = true }, _log, Patience)
                : VhostUserFsDevice.Open(new FsOptions("share", backend.Path), _log, Patience);
        }
        catch
        {
            Close();
            throw;
        }
        Driver = new GuestDriver(Device, _memory);
        if (start) Driver.Start(16);
    }

    internal VirtioDevice Device { get; }
    internal GuestDriver Driver { get; }
    internal GuestQueue Queue => Driver.Queues[^1];

    /// <summary>Notes for the user so far.</summary>
    internal string Log
    {
        get
        {
            using FileStream file = new(_logFile, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            using StreamReader reader = new(file);
            return reader.ReadToEnd();
        }
    }

    internal bool Says(string text) => GuestDriver.Eventually(() => Log.Contains(text, StringComparison.Ordinal));

    /// <summary>Offers a buffer by its head and waits until it comes back.</summary>
    internal bool Transact(ushort head)
    {
        Queue.Describe(head, Queue.Data, 16, VirtqDescFlags.Write);
        return Queue.Transact(head) is { } used && used.Id == head;
    }

    internal void Offer(ushort head)
    {
        Queue.Describe(head, Queue.Data, 16, VirtqDescFlags.Write);
        Queue.Submit(head);
        Queue.Kick();
    }

    public void Dispose()
    {
        Driver.Dispose();
        Close();
    }

    private void Close()
    {
        _memory.Dispose();
        _log.Dispose();
        _logHandle.Dispose();
        File.Delete(_logFile);
    }
}
