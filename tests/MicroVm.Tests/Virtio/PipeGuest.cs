using MicroVm.Devices;
using MicroVm.Kvm;
using MicroVm.Virtio.Block;

namespace MicroVm.Tests.Virtio;

/// <summary>A disk whose reads end when the test feeds it.</summary>
internal sealed class PipeGuest : IDisposable
{
    private const int SetFlags = 4;
    private readonly HostPipe _pipe = new();

    internal PipeGuest()
    {
        int reader = (int)_pipe.Reader.DangerousGetHandle();
        _pipe.Reader.SetHandleAsInvalid();
        // What does not fit is not fed.
        _ = Libc.fcntl((int)_pipe.Writer.DangerousGetHandle(), SetFlags, Libc.O_NONBLOCK);
        HostFileStatus status = new(HostFileKind.BlockDevice, 1 << 20, 0, 0, 0, 0, 0, 0);
        FileBackend file = new(HostFile.FromDescriptor(reader), status, "pipe", readOnly: false, serial: null);
        Driver = new GuestDriver(new VirtioBlockDevice(file, new DiskOptions("pipe") { Engine = DiskEngine.IoUring }));
    }

    internal GuestDriver Driver { get; }

    /// <summary>Offers a read of a sector in three descriptors behind an indirect one, so that all heads can be in flight.</summary>
    internal void Read(GuestQueue queue, ushort head)
    {
        ulong table = queue.Data + head * 48u;
        queue.Ram.Store(BlockGuest.HeaderAt, new VirtioBlockHeader { Type = (uint)VirtioBlockType.In, Sector = 1 });
        queue.DescribeChain(0, table, new(BlockGuest.HeaderAt, 16, false), new(BlockGuest.DataAt, 512, true), new(BlockGuest.StatusAt, 1, true));
        queue.Describe(head, table, 48, VirtqDescFlags.Indirect);
        queue.Offer(head);
    }

    /// <summary>Whether the device has taken all that was offered, and the kernel with it.</summary>
    internal bool AllBegun()
    {
        GuestQueue queue = Driver.Queues[0];
        // It asks for the next kick when it has handed over what there was.
        return GuestDriver.Eventually(() => queue.Ram.LoadIndex(queue.Used + 4 + queue.Size * 8ul) == queue.Next);
    }

    internal void Feed(uint sectors, int then = 0)
    {
        byte[] bytes = new byte[sectors * 512 + then];
        Array.Fill(bytes, (byte)0xa5);
        int done = 0;
        while (done < bytes.Length && HostIo.Write((int)_pipe.Writer.DangerousGetHandle(), bytes.AsSpan(done)) is var n and > 0) done += n;
    }

    internal void CloseWriter() => _pipe.Writer.Dispose();

    public void Dispose()
    {
        Driver.Dispose();
        _pipe.Dispose();
    }
}
