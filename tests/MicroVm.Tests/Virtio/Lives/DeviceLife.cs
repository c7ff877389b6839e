using Xunit;

namespace MicroVm.Tests.Virtio.Lives;

/// <summary>How far a driver and its device had come.</summary>
public enum Step
{
    /// <summary>FEATURES_OK.</summary>
    Agreed,
    /// <summary>The queues are set up.</summary>
    QueuesSet,
    /// <summary>DRIVER_OK, and no request yet.</summary>
    Idle,
    /// <summary>Requests stand in the rings, and nobody said so.</summary>
    Offered,
    /// <summary>The doorbells have just rung.</summary>
    Kicked,
    /// <summary>The device has taken all that it takes; the host does nothing.</summary>
    Taken,
    /// <summary>The host has done a part of it, and is in the middle of a request.</summary>
    PartlyDone,
    /// <summary>All is answered, and the driver has not looked.</summary>
    Answered,
    /// <summary>The driver broke a queue while requests of others, or of the same, were under way.</summary>
    Broken,
}

/// <summary>A device whose host's end the test holds, and its driver's first life, which a reset ends, and second one,
/// with smaller queues at another place.</summary>
/// <remarks>The first life lies below <see cref="Place"/>, whole; after the reset that memory is filled and must stay
/// as it is.</remarks>
internal abstract class DeviceLife : IDisposable
{
    /// <summary>Where the second life's rings and buffers lie.</summary>
    protected const ulong Place = 0x200_0000, Buffers = 0x300_0000;
    protected const byte Fill = 0xcc;
    private const ulong First = 0x10_0000;
    private const uint Size = 256;

    internal abstract GuestDriver Driver { get; }

    /// <summary>Puts requests under way up to a step from <see cref="Step.Offered"/> on.</summary>
    protected abstract void Begin(Step step);

    /// <summary>The host does what the first life waited for.</summary>
    internal abstract void Late();

    /// <summary>A request for each entry of the new queues, from the doorbell to the answer; nothing else may be in
    /// them.</summary>
    internal abstract void Serve();

    /// <summary>The first life, up to a step.</summary>
    internal void Live(Step step)
    {
        Assert.True(Driver.Negotiate());
        if (step >= Step.QueuesSet) Driver.AddQueues(Size);
        if (step >= Step.Idle) Driver.DriverOk();
        if (step >= Step.Offered) Begin(step);
    }

    /// <summary>What the first life was made of is the driver's again, and means something else to it.</summary>
    internal void Bury() => Grave.Fill(Fill);

    internal bool IsUntouched => Grave.IndexOfAnyExcept(Fill) < 0;

    /// <summary>Starts the second life.</summary>
    internal void Begin(uint size)
    {
        Assert.True(Driver.Negotiate());
        Driver.AddQueues(size, Place);
        Driver.DriverOk();
        Assert.Equal(GuestDriver.Ready, Driver.Status);
    }

    public virtual void Dispose() => Driver.Dispose();

    private Span<byte> Grave
    {
        get
        {
            Assert.True(Driver.Memory.TryRange(First, Place - First, out Memory.HostRange range));
            return range.Span;
        }
    }

    /// <summary>The same head twice.</summary>
    protected void Break(GuestQueue queue)
    {
        queue.DescribeChain(0, null, new Buffer(queue.Data, 16, false));
        queue.Submit(0);
        queue.Submit(0);
        queue.Kick();
        Assert.True(Driver.WaitForReset());
    }
}
